"""Manages golden items: decisions with a known answer, hidden in the queue to test reviewers."""

from dataclasses import dataclass, replace

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.reviews.verdict import Answer, check_answer
from worker.errors import ModerationError, PictureChangedError, ReviewConflictError, UnknownReviewError
from worker.store.decisions import decisions
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, golden_items, reviews
from worker.store.reviews.golden_items import GoldenItem
from worker.store.reviews.reviews import OPEN
from worker.store.submissions import submissions
from worker.usecases.moderation.judged_pictures import ReadJudgedPicture
from worker.usecases.policies.policy_behind import place_again, policy_behind


@dataclass(frozen=True, slots=True)
class GoldenItems:
    """The golden items of the review queue."""

    database: Database
    #: Compares the picture with the judged bytes; None assumes that they are the same.
    read_picture: ReadJudgedPicture | None = None

    def add(self, reviewer: Reviewer, name: str, answer: Answer, queue: str | None = None) -> int:
        """Add the newest decision on the submission with this id or reference; return the item's id.

        It appears in `queue`, by default in the queue that the policy routes such decisions to.
        UnknownReviewError if nothing is decided; UsageError if several submissions have the reference;
        ReviewConflictError if the decision has an open review, is a golden item already, or its picture
        changed since it was judged.
        """
        self._require_same_picture(name)
        with self.database.transaction() as session:
            found = submissions.named(session, name)
            decided = decisions.of_submissions(session, [found] if found else [])
            if not decided:
                raise UnknownReviewError(f"no decision on a submission {name!r}")
            decision = decided[-1]
            if any(review.state == OPEN for review in reviews.of_decision(session, decision.id)):
                raise ReviewConflictError(
                    f"submission {name!r} is in the queue: its answer is not known yet",
                    hint="decide it first",
                )
            policy = policy_behind(session, decision)
            if policy is not None:
                # The author of a golden item need not give a reason.
                check_answer(replace(answer, reason=answer.reason or "known"), policy, decision.flagged)
            item = golden_items.add(
                session,
                decision_id=decision.id,
                queue=queue or place_again(session, decision, database_now(session)).queue,
                action=answer.action,
                labels=answer.labels,
                added_by=reviewer.name,
            )
            if item is None:
                raise ReviewConflictError(f"submission {name!r} is a golden item already")
            audit_log.note(session, reviewer.name, audit_log.GOLDEN_ADDED, golden=item, decision=decision.id)
        return item

    def everything(self) -> list[GoldenItem]:
        """Return all golden items, retired ones too, oldest first."""
        with self.database.reading() as session:
            return golden_items.everything(session)

    def retire(self, reviewer: Reviewer, item: int) -> None:
        """Retire the item with this id: it is no longer asked, and answers to it no longer count.

        If added again, it is asked of those who have not answered it. UnknownReviewError if it does not exist
        or is retired already.
        """
        with self.database.transaction() as session:
            if not golden_items.retire(session, item):
                raise UnknownReviewError(
                    f"there is no golden item {item} in use", hint="moderate review golden list shows them"
                )
            reviews.withdraw(session, golden_items.open_questions(session, item))
            audit_log.note(session, reviewer.name, audit_log.GOLDEN_RETIRED, golden=item)

    def _require_same_picture(self, name: str) -> None:
        """Refuse a picture that changed: reviewers would see other bytes than the known answer is about."""
        with self.database.reading() as session:
            found = submissions.named(session, name)
        if self.read_picture is None or found is None:
            return
        try:
            self.read_picture(found)
        except PictureChangedError as error:
            raise ReviewConflictError(
                f"submission {name!r} cannot be a golden item: {error.message}",
                hint="take a decision whose picture is still there",
            ) from None
        except ModerationError:
            # A platform's desk may have a copy of a picture that cannot be read here.
            return
