"""What happened to one submission at the review desk, in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from worker.domain.reviewer import Reviewer
from worker.store import audit_log, decisions, review_claims
from worker.store.audit_log import APPEAL_OPENED
from worker.store.database import Database
from worker.store.decisions import RecordedDecision

DECISION_MADE: Final = "decision.made"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened."""

    #: In UTC.
    at: datetime
    #: A person's name, or the policy's.
    actor: str
    #: decision.made, review.claimed, verdict.made ...
    what: str
    review_id: int | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SubmissionHistory:
    """Tell the history of a submission."""

    database: Database

    def __call__(self, submission_id: str, seen_by: Reviewer | None = None) -> list[Happening]:
        """Return what happened, oldest first; [] where nothing is known of it.

        Nothing of golden items, which are hidden. To a person who may yet be asked without knowing what
        others answered, nothing of what others did.
        """
        with self.database.reading() as session:
            found = list(map(_decision, decisions.of_submissions(session, [submission_id])))
            found += _done(session, submission_id, seen_by)
        return sorted(found, key=lambda one: one.at)


def _done(session: Session, submission_id: str, seen_by: Reviewer | None) -> list[Happening]:
    golden = review_claims.golden_reviews(session, submission_id)
    entries = [one for one in audit_log.of_submission(session, submission_id) if one.review_id not in golden]
    if seen_by is not None and review_claims.is_to_be_asked_blindly(session, submission_id, seen_by):
        entries = [one for one in entries if one.actor == seen_by.name or one.what == APPEAL_OPENED]
    return [Happening(one.at, one.actor, one.what, one.review_id, one.details) for one in entries]


def _decision(decision: RecordedDecision) -> Happening:
    details = {
        "action": decision.action.value,
        "labels": list(decision.flagged),
        "reason": decision.reason,
        "decision": decision.id,
    }
    return Happening(decision.created_at, decision.policy, DECISION_MADE, None, details)
