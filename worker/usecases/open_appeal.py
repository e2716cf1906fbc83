"""Takes an appeal in: a person other than the first will say whether the decision was right."""

from dataclasses import dataclass

from worker.store.appeals import Appeal
from worker.store.database import Database


@dataclass(frozen=True, slots=True)
class OpenAppeal:
    """Open an appeal on a decision."""

    database: Database

    def __call__(self, decision_id: int, statement: str = "") -> tuple[Appeal, bool]:
        """Return the appeal, and whether it is new; the same statement sent again is the same appeal.

        UnknownReviewError where there is no such decision; ReviewConflictError where it was appealed in
        other words, where a newer decision replaces it, or where it waits for a person anyway.
        """
        raise NotImplementedError
