"""Retires a golden item: it is no longer asked, and answers to it no longer count."""

from dataclasses import dataclass

from worker.domain.accounts.reviewer import Reviewer
from worker.errors import UnknownReviewError
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, golden_items, reviews


@dataclass(frozen=True, slots=True)
class RetireGoldenItem:
    """Retire a golden item; if added again, it is asked of those who have not answered it."""

    database: Database

    def __call__(self, reviewer: Reviewer, item: int) -> None:
        """Retire the item with this id; UnknownReviewError if it does not exist or is retired already."""
        with self.database.transaction() as session:
            if not golden_items.retire(session, item):
                raise UnknownReviewError(
                    f"there is no golden item {item} in use", hint="moderate review golden list shows them"
                )
            reviews.withdraw(session, golden_items.open_questions(session, item))
            audit_log.note(session, reviewer.name, audit_log.GOLDEN_RETIRED, golden=item)
