"""Lists what happened to a submission at the review desk, in order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.reviews.review import ReviewKind
from worker.store.decisions import decisions
from worker.store.decisions.decisions import RecordedDecision
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, review_claims
from worker.store.reviews.audit_log import APPEAL_OPENED

DECISION_MADE: Final = "decision.made"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One event in the history."""

    #: In UTC.
    at: datetime
    #: The name of a person or of the policy.
    actor: str
    #: decision.made, review.claimed, verdict.made ...
    what: str
    review_id: int | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SubmissionHistory:
    """Return the history of a submission."""

    database: Database

    def __call__(self, submission_id: str, seen_by: Reviewer | None = None) -> list[HistoryEntry]:
        """Return what happened, oldest first; [] if the submission is unknown.

        Golden items are hidden, except what the person did with one. A person who may get a blind review of
        the submission does not see what others did, nor times before that review was asked: they would
        reveal that it is not the first review.
        """
        with self.database.reading() as session:
            found = list(map(_decision, decisions.of_submissions(session, [submission_id])))
            found += _desk_entries(session, submission_id, seen_by)
        since = self.masked_until(submission_id, seen_by)
        if since is not None:
            found = [replace(one, at=max(one.at, since)) for one in found]
        return sorted(found, key=lambda one: one.at)

    def masked_until(self, submission_id: str, seen_by: Reviewer | None) -> datetime | None:
        """Return the earliest time that a person may see; None if they may see all."""
        if seen_by is None:
            return None
        with self.database.reading() as session:
            if not review_claims.is_to_be_asked_blindly(session, submission_id, seen_by):
                return None
            return review_claims.blind_since(session, submission_id, seen_by)


def _desk_entries(session: Session, submission_id: str, seen_by: Reviewer | None) -> list[HistoryEntry]:
    entries = audit_log.of_submission(session, submission_id)
    hidden = review_claims.golden_reviews(session, submission_id)
    if seen_by is None:
        entries = [one for one in entries if one.review_id not in hidden]
        return [HistoryEntry(one.at, one.actor, one.what, one.review_id, one.details) for one in entries]
    held = review_claims.held_reviews(session, submission_id, seen_by.name)
    entries = [
        one
        for one in entries
        if one.review_id not in held and (one.review_id not in hidden or one.actor == seen_by.name)
    ]
    if review_claims.is_to_be_asked_blindly(session, submission_id, seen_by):
        entries = [one for one in entries if one.actor == seen_by.name or one.what == APPEAL_OPENED]
    return [
        HistoryEntry(one.at, one.actor, one.what, one.review_id, _without_blind_kind(one.details))
        for one in entries
    ]


def _without_blind_kind(details: Mapping[str, Any]) -> Mapping[str, Any]:
    blind = {kind.value for kind in ReviewKind if kind.is_blind}
    return {name: value for name, value in details.items() if name != "kind" or value not in blind}


def _decision(decision: RecordedDecision) -> HistoryEntry:
    details = {
        "action": decision.action.value,
        "labels": list(decision.flagged),
        "reason": decision.reason,
        "decision": decision.id,
    }
    return HistoryEntry(decision.created_at, decision.policy, DECISION_MADE, None, details)
