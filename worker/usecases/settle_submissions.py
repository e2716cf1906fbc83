"""From arrival to outcome: claim what arrived, judge it, reschedule what failed."""

import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from worker.domain.submission import Submission
from worker.domain.url import without_queries
from worker.errors import PermanentError, RemoteUnavailableError, UnavailableError
from worker.isolation import Isolation
from worker.network.deadline import Deadline
from worker.policy_files.library import LivePolicy
from worker.store.claims import Outcome
from worker.usecases.hold_claims import Held, HoldClaims
from worker.usecases.moderate_image import ModerateImage

log = logging.getLogger(__name__)

#: What fails for a reason that may pass is tried this often before the policy's `on_error` decides.
MAX_ATTEMPTS: Final = 3
#: Before the second attempt and before the third: a server that was busy is not asked again at once.
RETRY_AFTER: Final = (timedelta(seconds=2), timedelta(seconds=8))
#: Its message comes back before that; should it be lost, the ledger publishes what it carried.
AWAY_AFTER: Final = timedelta(seconds=20)
#: What one worker has not begun by then is published again, for whichever worker has room.
BEGIN_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class SettleSubmissions:
    """Settle what one message brought; safe to repeat, and safe to run anywhere at once."""

    moderate_image: ModerateImage
    claims: HoldClaims
    #: So that a picture of which workers died takes no neighbour with it.
    isolation: Isolation
    #: Threads that all messages of many submissions share, so that their pictures share passes.
    crew: Executor

    def __call__(self, submissions: Sequence[Submission]) -> None:
        """Decide, refuse or reschedule each.

        UnavailableError where something needed is away: what is not settled then is held by nobody, and its
        message has to come back.
        """
        known = [pair for pair in map(self._with_policy, submissions) if pair]
        with self.isolation.together():
            held = self.claims.take(known)
            self._judge_all(held)
        for one in held:
            if one.claim.outcome is Outcome.SUSPECT:
                with self.isolation.alone():
                    self._judge_all(self.claims.take([(one.submission, one.live)], alone=True))

    def refuse(self, submission_id: str, error: PermanentError) -> None:
        """Note a submission that no policy can decide, so that it is not lost in silence."""
        self.moderate_image.refuse(submission_id, error)

    def _with_policy(self, submission: Submission) -> tuple[Submission, LivePolicy] | None:
        """Return the policy version that decides a submission, one for the whole of this job."""
        try:
            return submission, self.moderate_image.policy_for(submission)
        except PermanentError as error:
            log.error("submission %s refused: %s", submission.id, error.message)  # noqa: TRY400 - no traceback
            self.refuse(submission.id, error)
            return None

    def _judge_all(self, held: Sequence[Held]) -> None:
        ours = [one for one in held if _is_ours(one)]
        deadline = Deadline(BEGIN_SECONDS)
        # One needs no thread but its message's own.
        judge = self.crew.map if len(ours) > 1 else map
        for obstacle in list(judge(lambda one: self._judge(one, deadline), ours)):
            if obstacle:
                raise obstacle

    def _judge(self, held: Held, deadline: Deadline) -> UnavailableError | None:
        """Settle what is in hand; return what is away, if it could not be settled for that."""
        submission = held.submission
        try:
            deadline.remaining()
            if held.claim.outcome is Outcome.QUARANTINE:
                decision_id = self.moderate_image.quarantine(submission, held.live, held.claim.crashes)
            else:
                decision_id = self.moderate_image(submission, held.live)
        except TimeoutError:
            log.info("submission %s is handed on: too many for one worker at once", submission.id)
            self.claims.release(submission.id, again_in=timedelta(0), counts=False)
        except RemoteUnavailableError as error:
            log.warning("submission %s, attempt %d: %s", submission.id, held.claim.attempt, error.message)
            return self._failed(held, f"{error.message}, {MAX_ATTEMPTS} times")
        except UnavailableError as error:
            self.claims.release(submission.id, again_in=AWAY_AFTER, counts=False)
            return error
        except Exception as error:
            log.exception("submission %s failed, attempt %d", submission.id, held.claim.attempt)
            cause = without_queries(repr(error))
            return self._failed(held, f"judging it failed {MAX_ATTEMPTS} times: {cause}")
        else:
            self._settled(held, decision_id)
        return None

    def _failed(self, held: Held, problem: str) -> UnavailableError | None:
        """Let the ledger try again later; after the last attempt let the policy's `on_error` decide."""
        attempt = held.claim.attempt
        if attempt < MAX_ATTEMPTS:
            self.claims.release(held.submission.id, again_in=RETRY_AFTER[attempt - 1], counts=True)
            return None
        try:
            self._settled(held, self.moderate_image.give_up(held.submission, held.live, problem))
        except UnavailableError as error:
            self.claims.release(held.submission.id, again_in=AWAY_AFTER, counts=False)
            return error
        return None

    def _settled(self, held: Held, decision_id: int | None) -> None:
        self.claims.settled(held.submission.id)
        if decision_id is None:
            log.info("submission %s was decided meanwhile", held.submission.id)
        else:
            log.info("submission %s decided, decision %d", held.submission.id, decision_id)


def _is_ours(held: Held) -> bool:
    """Whether it is in hand here; say why not where it is not."""
    match held.claim.outcome:
        case Outcome.CLAIMED | Outcome.QUARANTINE:
            return True
        case Outcome.SUSPECT:
            log.warning("submission %s: a worker died with it, it is judged alone", held.submission.id)
        case Outcome.IN_HAND:
            log.info("submission %s is in another worker's hand", held.submission.id)
        case Outcome.DECIDED:
            log.info("submission %s was decided before", held.submission.id)
        case Outcome.CONFLICT:
            log.error("submission %s: its id belongs to another picture or policy", held.submission.id)
    return False
