"""Settles what a message brings: each submission is claimed, judged, and has an outcome or another try."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from worker.client.messages import source_record, to_message
from worker.domain.submission import Submission
from worker.domain.url import without_queries
from worker.errors import PermanentError, RemoteUnavailableError, UnavailableError
from worker.gate import Gate
from worker.logs import about
from worker.metrics import Metrics
from worker.network.deadline import Deadline
from worker.progress import Progress
from worker.store.claims import MAX_FAILURES, Arrival, Claim, Release, Standing
from worker.usecases.claim_submissions import ClaimSubmissions
from worker.usecases.moderate_image import ModerateImage

log = logging.getLogger(__name__)

#: Before the second attempt and before the third: a server that was busy is not asked again at once.
RETRY_SECONDS: Final = (2.0, 8.0)
#: What a message of many has not begun by then is handed on, to whoever has room.
BEGIN_SECONDS: Final = 20.0
#: How long one suspect after another is judged before the others have their turn.
TURN_SECONDS: Final = 5.0

#: No time to begin: published at once.
_HAND_ON: Final = Release(counts=False, pause=timedelta())
#: Something we need is away: the message goes back to the queue.
_PUT_BACK: Final = Release(counts=False, pause=None)
#: Not even giving up succeeds.
_LEAVE_ALONE: Final = Release(counts=True, pause=timedelta(minutes=1))

#: Why it is not judged now, and how loudly that is said.
_NOT_JUDGED: Final = {
    Standing.DECIDED: (logging.INFO, "was decided before"),
    Standing.IN_HAND: (logging.INFO, "is in hand already, or waits for its next attempt"),
    Standing.SUSPECT: (logging.WARNING, "was in hand when a worker died: it is judged alone"),
    Standing.CONFLICT: (logging.ERROR, "is not judged: its id belongs to another one"),
}

#: Does something to each of many, one after another or at once, and returns the results in order.
Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
#: What is left to do about a submission: nothing, let go of it, or wait for what is away.
_Rest = Release | UnavailableError | None


@dataclass(frozen=True, slots=True)
class SettleSubmissions:
    """Claim submissions, judge what is claimed, and say in the ledger how it went; safe to repeat."""

    moderate_image: ModerateImage
    claim: ClaimSubmissions
    #: Claims what several messages bring, together.
    claim_together: Callable[[Sequence[Sequence[Arrival]]], Sequence[list[Claim]]]
    gate: Gate
    metrics: Metrics
    progress: Progress

    def __call__(self, submissions: Sequence[Submission], spread: Spread = map) -> None:
        """Settle each on its own; when this returns, the ledger answers for all of them.

        UnavailableError where something is away that is waited for: the message has to come again, and what
        is settled stays so.
        """
        with self.gate.together():
            suspects = self._work(submissions, spread)
        if suspects:
            with self.claim.expecting([one.id for one in suspects]):
                self._work_alone(deque(suspects))

    def _work_alone(self, suspects: deque[Submission]) -> None:
        """Claim and judge one after another while nothing else is in hand, for a turn at a time."""
        while suspects:
            with self.gate.alone():
                turn = Deadline(TURN_SECONDS)
                self._work([suspects.popleft()], map, alone=True)
                while suspects and _is_open(turn):
                    self._work([suspects.popleft()], map, alone=True)

    def _work(
        self, submissions: Sequence[Submission], spread: Spread, *, alone: bool = False
    ) -> list[Submission]:
        """Claim and judge; return the suspects, which are left for when nothing else is in hand."""
        # The claim is committed before a picture is touched: whatever happens then, the attempt is known.
        arrivals = [arrival for one in submissions if (arrival := self._arrival(one))]
        with self.metrics.stage("claim"):
            (claims,) = [self.claim(arrivals, alone=True)] if alone else self.claim_together([arrivals])
        begin = Deadline(BEGIN_SECONDS)
        work = [(_known(one.submission, claim), claim) for one, claim in zip(arrivals, claims, strict=True)]
        rests = list(spread(lambda pair: self._settle(pair[0], pair[1], begin), work))
        self._let_go(work, rests)
        return [one for one, claim in work if claim.standing is Standing.SUSPECT]

    def _arrival(self, submission: Submission) -> Arrival | None:
        """Return what is to be claimed; None where no policy here can decide it, and then it is refused."""
        try:
            digest = self.moderate_image.policy_of(submission).policy.digest
        except PermanentError as error:
            self._refuse(submission, error)
            return None
        source = source_record(submission.source)
        return Arrival(submission, digest, source, to_message(submission)["source"])

    def _settle(self, submission: Submission, claim: Claim, begin: Deadline) -> _Rest:
        with about(submission.id, submission.traceparent), self.progress.job(submission.id):
            return self._settle_one(submission, claim, begin)

    def _settle_one(self, submission: Submission, claim: Claim, begin: Deadline) -> _Rest:
        try:
            if claim.standing is Standing.CLAIMED:
                return self._judge(submission, claim) if _is_open(begin) else _HAND_ON
            if claim.standing is Standing.DEADLY:
                self.moderate_image.quarantine(submission, claim.crashes)
            elif claim.standing is Standing.FAILING:
                self._give_up(submission, f"judging it failed {MAX_FAILURES} times")
            else:
                level, words = _NOT_JUDGED[claim.standing]
                log.log(level, "submission %s %s", submission.id, words)
                if claim.standing is Standing.CONFLICT:
                    self.metrics.conflicted()
        except UnavailableError as error:
            return error
        except Exception:
            # One must not take the others with it.
            log.exception("submission %s cannot be settled", submission.id)
            return _LEAVE_ALONE
        return None

    def _judge(self, submission: Submission, claim: Claim) -> _Rest:
        try:
            self.moderate_image(submission)
        except RemoteUnavailableError as error:
            log.warning("submission %s, attempt %d: %s", submission.id, claim.attempts, error.message)
            return self._failed(submission, claim, f"{error.message}, {MAX_FAILURES} times")
        except UnavailableError:
            raise
        except PermanentError as error:
            self._refuse(submission, error)
        except Exception as error:
            log.exception("submission %s failed, attempt %d", submission.id, claim.attempts)
            problem = f"judging it failed {MAX_FAILURES} times: {without_queries(repr(error))}"
            return self._failed(submission, claim, problem)
        self.claim.settled(submission.id, claim)
        return None

    def _failed(self, submission: Submission, claim: Claim, problem: str) -> _Rest:
        """Have it tried again after a pause; after the last attempt the policy's `on_error` decides."""
        failures = claim.attempts - claim.crashes
        if failures < MAX_FAILURES:
            self.metrics.retried()
            return Release(counts=True, pause=timedelta(seconds=RETRY_SECONDS[failures - 1]))
        self._give_up(submission, problem)
        self.claim.settled(submission.id, claim)
        return None

    def _give_up(self, submission: Submission, problem: str) -> None:
        self.moderate_image.give_up(submission, problem)

    def _refuse(self, submission: Submission, error: PermanentError) -> None:
        with about(submission.id, submission.traceparent):
            log.error("submission %s refused: %s", submission.id, error.message)
        self.moderate_image.refuse(submission.id, error, submission)

    def _let_go(self, work: Sequence[tuple[Submission, Claim]], rests: Sequence[_Rest]) -> None:
        """Release what has no outcome; raise the error of what is away, if anything is."""
        held = [
            (one.id, claim, _PUT_BACK if isinstance(rest, UnavailableError) else rest)
            for (one, claim), rest in zip(work, rests, strict=True)
            if rest is not None and claim.standing is Standing.CLAIMED
        ]
        for how in {how for *_, how in held}:
            self.claim.release({name: claim for name, claim, its in held if its == how}, how)
        if handed_on := sum(how == _HAND_ON for *_, how in held):
            log.info("%d submissions are handed on: too many for one worker at once", handed_on)
        for rest in rests:
            if isinstance(rest, UnavailableError):
                raise rest


def _known(submission: Submission, claim: Claim) -> Submission:
    """Return a submission with its trace and its age as the ledger knows them, if it does."""
    since = min((moment for moment in (submission.sent_at, claim.since) if moment), default=None)
    return replace(submission, traceparent=claim.traceparent or submission.traceparent, sent_at=since)


def _is_open(deadline: Deadline) -> bool:
    try:
        deadline.remaining()
    except TimeoutError:
        return False
    return True
