"""Makes a decision whose answer is known a golden item, to be hidden among the reviews."""

from dataclasses import dataclass, replace

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.reviews.verdict import Answer, check_answer
from worker.errors import ModerationError, PictureChangedError, ReviewConflictError, UnknownReviewError
from worker.store.decisions import decisions
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, golden_items, reviews
from worker.store.reviews.reviews import OPEN
from worker.store.submissions import submissions
from worker.usecases.moderation.judged_pictures import ReadJudgedPicture
from worker.usecases.policies.policy_behind import place_again, policy_behind


@dataclass(frozen=True, slots=True)
class AddGoldenItem:
    """Add a golden item."""

    database: Database
    #: Compares the picture with the bytes that were judged; None takes them for the same.
    read_picture: ReadJudgedPicture | None = None

    def __call__(self, reviewer: Reviewer, name: str, answer: Answer, queue: str | None = None) -> int:
        """Add the newest decision on the submission with this id, or this reference; return the item's id.

        It is asked in the queue where the policy puts such decisions, or in the one named. UnknownReviewError
        where nothing is decided, UsageError where several submissions have the reference,
        ReviewConflictError where the question is open or the decision is a golden item already, or if its
        picture changed since it was judged.
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
                # Whoever sets the question gives no reason.
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

    def _require_same_picture(self, name: str) -> None:
        """Refuse a picture whose known answer would be about other bytes than those that people see."""
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
            # A platform's own desk may have a copy of what cannot be read from here.
            return
