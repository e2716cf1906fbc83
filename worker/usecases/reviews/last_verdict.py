"""Finds the verdict that a person can undo: their last one, if it is recent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import exists, func, select

from worker.domain.policies.policy import Action
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.engine.tables import ReversalRow, SubmissionRow, VerdictRow

#: After this it is not a slip any more; a lead can still reverse it.
UNDO_WITHIN: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """A verdict that can be undone."""

    id: int
    #: The platform's reference of the upload, else the submission's id.
    upload: str
    action: Action
    labels: Sequence[str]
    #: How many verdicts were given at once, this one included.
    together: int


@dataclass(frozen=True, slots=True)
class LastVerdict:
    """Find the last verdict of a person."""

    database: Database

    def __call__(self, reviewer: str) -> GivenVerdict | None:
        """Return a person's last verdict if it is recent and not reversed."""
        with self.database.reading() as session:
            query = (
                select(VerdictRow, SubmissionRow.reference)
                .join(SubmissionRow, SubmissionRow.id == VerdictRow.submission_id)
                .where(
                    VerdictRow.reviewer == reviewer,
                    VerdictRow.review_id.is_not(None),
                    VerdictRow.inherited_from.is_(None),
                    VerdictRow.created_at > database_now(session) - UNDO_WITHIN,
                    ~exists().where(ReversalRow.verdict_id == VerdictRow.id),
                )
                .order_by(VerdictRow.created_at.desc(), VerdictRow.id.desc())
                .limit(1)
            )
            found = session.execute(query).one_or_none()
            if found is None:
                return None
            row, reference = found
            together = select(func.count()).where(
                VerdictRow.given_with == row.given_with, VerdictRow.given_with.is_not(None)
            )
            count = session.scalar(together) or 1
            return GivenVerdict(row.id, reference or row.submission_id, row.action, row.labels, count)
