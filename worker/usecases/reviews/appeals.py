"""Opens and finds appeals: a person other than the first reviews whether the decision was right."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from worker.domain.moderation.in_force import InForce
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.errors import InvalidVerdictError, ReviewConflictError, UnknownReviewError
from worker.store.decisions import decisions
from worker.store.decisions.decisions import RecordedDecision
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import appeals, audit_log, in_force, reviews
from worker.store.reviews.appeals import Appeal
from worker.usecases.policies.policy_behind import place_again

MAX_STATEMENT_CHARACTERS: Final = 4000
#: The actor in the audit log, since no person of the desk acted.
_PLATFORM: Final = "the platform"


@dataclass(frozen=True, slots=True)
class Appeals:
    """The appeals against decisions."""

    database: Database

    def open(self, decision_id: int, statement: str = "") -> tuple[Appeal, bool]:
        """Open an appeal.

        Return the appeal, and whether it is new; the same statement sent again is the same appeal.

        UnknownReviewError if there is no such decision; ReviewConflictError if it was appealed with another
        statement, if a newer decision replaces it, or if it waits for a person anyway.
        """
        if len(statement) > MAX_STATEMENT_CHARACTERS:
            raise InvalidVerdictError(f"a statement has at most {MAX_STATEMENT_CHARACTERS:,} characters")
        with self.database.transaction() as session:
            decision = decisions.by_ids(session, [decision_id]).get(decision_id)
            if decision is None:
                raise UnknownReviewError(f"there is no decision {decision_id}")
            if appeals.of_decision(session, decision_id) is None:
                review_id = _open(session, decision, statement)
                if review_id is not None:
                    return appeals.get_of_review(session, review_id), True
            # A concurrent request may have opened it.
            appeal = appeals.of_decision(session, decision_id)
        if appeal is None or appeal.statement != statement:
            raise ReviewConflictError(f"decision {decision_id} was appealed already, in other words")
        return appeal, False

    def find(self, appeal_id: int) -> tuple[Appeal, InForce] | None:
        """Return an appeal and what is in force on its submission; None if there is no such appeal."""
        with self.database.reading() as session:
            appeal = appeals.find(session, appeal_id)
            if appeal is None:
                return None
            return appeal, in_force.of(session, appeal.submission_id)


def _open(session: Session, decision: RecordedDecision, statement: str) -> int | None:
    """Put the review in the queue and return its id; None if a concurrent request does so."""
    newest = decisions.of_submissions(session, [decision.submission_id])[-1]
    if newest.id != decision.id:
        raise ReviewConflictError(
            f"decision {decision.id} was replaced by {newest.id}", hint=f"appeal {newest.id}"
        )
    action = in_force.of(session, decision.submission_id).action
    if action is None or action is Action.REVIEW:
        raise ReviewConflictError(f"decision {decision.id} waits for a person, who will review it anyway")
    place = place_again(session, decision, database_now(session))
    review_id = reviews.ask(session, decision.id, ReviewKind.APPEAL, place)
    if review_id is not None:
        appeals.add(
            session,
            decision_id=decision.id,
            review_id=review_id,
            statement=statement,
            appealed_action=action,
        )
        audit_log.note(
            session,
            _PLATFORM,
            audit_log.APPEAL_OPENED,
            review_id=review_id,
            submission_id=decision.submission_id,
            statement=statement,
        )
    return review_id
