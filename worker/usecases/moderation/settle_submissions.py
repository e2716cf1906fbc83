"""Settles what a message brings: each submission is claimed, judged, and has an outcome or another try."""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from moderation_client.messages import source_record, to_message
from moderation_client.submission import Submission
from moderation_client.url import without_queries

from worker.concurrency.batching import in_halves
from worker.concurrency.deadline import Deadline
from worker.concurrency.shared_lock import SharedLock
from worker.errors import (
    InvalidSubmissionError,
    PermanentError,
    RemoteUnavailableError,
    ResourceUnavailableError,
    SourceNotReadyError,
    SourceUnavailableError,
    UnavailableError,
    UnknownPolicyError,
)
from worker.observability.logs import about
from worker.observability.metrics import Metrics
from worker.observability.progress import Progress
from worker.policy_files.library import LivePolicy
from worker.store.submissions.claims import MAX_FAILURES, Arrival, ClaimRelease, ClaimResult, ClaimStatus
from worker.usecases.moderation.moderate_image import ModerateImage
from worker.usecases.submissions.claim_submissions import ClaimSubmissions
from worker.usecases.submissions.refuse_submission import RefuseSubmission

log = logging.getLogger(__name__)

#: Before the second attempt and before the third: a server that was busy is not asked again at once.
RETRY_SECONDS: Final = (2.0, 8.0)
#: What a message of many has not begun by then is handed on, to whoever has room.
BEGIN_SECONDS: Final = 20.0
#: How long one suspect after another is judged before the others have their turn.
TURN_SECONDS: Final = 5.0

#: No time to begin: published at once.
_HAND_ON: Final = ClaimRelease(counts=False, pause=timedelta())
#: Between two looks for a missing picture, and two tries of a place that is unavailable.
SHORTEST_REST: Final = timedelta(seconds=1)
SHORTEST_OUTAGE_REST: Final = timedelta(seconds=4)
LONGEST_REST: Final = timedelta(minutes=5)
#: Not even giving up succeeds.
_LEAVE_ALONE: Final = ClaimRelease(counts=True, pause=timedelta(minutes=1))

#: Why it is not judged now, and how loudly that is said.
_NOT_JUDGED: Final = {
    ClaimStatus.DECIDED: (logging.INFO, "was decided before"),
    ClaimStatus.IN_FLIGHT: (logging.INFO, "is in hand already, or waits for its next attempt"),
    ClaimStatus.CRASHED: (logging.WARNING, "was in hand when a worker died: it is judged alone"),
    ClaimStatus.CONFLICT: (logging.ERROR, "is not judged: its id belongs to another one"),
}

#: Does something to each of many, one after another or at once, and returns the results in order.
Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
#: What is left to do about a submission: nothing, let go of it, or wait for what is away.
_Rest = ClaimRelease | UnavailableError | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A submission that the ledger could not take, for no reason that was foreseen."""

    submission: Submission
    error: BaseException


@dataclass(frozen=True, slots=True)
class _Job:
    """A submission that arrived, and the policy version that is to decide it."""

    arrival: Arrival
    #: None if its policy is not in force here.
    live: LivePolicy | None

    @property
    def submission(self) -> Submission:
        return self.arrival.submission

    def known_as(self, claim: ClaimResult) -> "_Job":
        """Return this with the submission's trace and age as the ledger knows them, if it does."""
        one = self.submission
        since = min((moment for moment in (one.sent_at, claim.since) if moment), default=None)
        known = replace(one, traceparent=claim.traceparent or one.traceparent, sent_at=since)
        return replace(self, arrival=replace(self.arrival, submission=known))


@dataclass(frozen=True, slots=True)
class SettleSubmissions:
    """Claim submissions, judge what is claimed, and say in the ledger how it went; safe to repeat."""

    moderate_image: ModerateImage
    refuse: RefuseSubmission
    claim: ClaimSubmissions
    #: Claims in transactions that threads share; returns a claim for each, or why it failed.
    claim_each: Callable[[Sequence[Arrival]], Sequence[ClaimResult | BaseException]]
    isolation: SharedLock
    metrics: Metrics
    progress: Progress
    #: How long a missing picture is looked for again, from when its submission was first known.
    missing_for: timedelta = timedelta()

    def __call__(self, submissions: Sequence[Submission], spread: Spread = map) -> list[Failure]:
        """Settle each by itself; when this returns, the ledger answers for all but the failures.

        UnavailableError if something is unavailable that is waited for: the message has to come again, and
        what is settled stays so.
        """
        failures: list[Failure] = []
        with self.isolation.shared():
            suspects = self._work(submissions, spread, failures)
        if suspects:
            with self.claim.expecting([one.id for one in suspects]):
                self._work_alone(deque(suspects), failures)
        return failures

    def _work_alone(self, suspects: deque[Submission], failures: list[Failure]) -> None:
        """Claim and judge one after another while nothing else is in hand, for a turn at a time."""
        while suspects:
            with self.isolation.exclusive():
                turn = Deadline(TURN_SECONDS)
                self._work([suspects.popleft()], map, failures, alone=True)
                while suspects and _is_open(turn):
                    self._work([suspects.popleft()], map, failures, alone=True)

    def _work(
        self,
        submissions: Sequence[Submission],
        spread: Spread,
        failures: list[Failure],
        *,
        alone: bool = False,
    ) -> list[Submission]:
        """Claim and judge; return the suspects, which are left for when nothing else is in hand."""
        # The claim is committed before a picture is touched: whatever happens then, the attempt is known.
        jobs = list(self._jobs(submissions, failures))
        arrivals = [job.arrival for job in jobs]
        with self.metrics.stage("claim"):
            outcomes = self._claim_alone(arrivals) if alone else self.claim_each(arrivals)
        claims, away = self._sort(jobs, outcomes, failures)
        begin = Deadline(BEGIN_SECONDS)
        rests = list(spread(lambda pair: self._settle(pair[0], pair[1], begin), claims))
        self._let_go(claims, rests)
        for rest in (*away, *rests):
            if isinstance(rest, UnavailableError):
                raise rest
        return [job.submission for job, claim in claims if claim.status is ClaimStatus.CRASHED]

    def _claim_alone(self, arrivals: Sequence[Arrival]) -> Sequence[ClaimResult | BaseException]:
        return in_halves(lambda some: self.claim(some, alone=True), arrivals, "claiming submissions")

    def _jobs(self, submissions: Iterable[Submission], failures: list[Failure]) -> Iterator[_Job]:
        for submission in submissions:
            try:
                yield self._job(submission)
            except Exception as error:  # noqa: BLE001 - one must not take the others with it
                self._fail(submission, error, failures)

    def _job(self, submission: Submission) -> _Job:
        source, whole = source_record(submission.source), to_message(submission)["source"]
        try:
            live = self.moderate_image.policy_of(submission)
        except UnknownPolicyError as error:
            return _Job(Arrival(submission, None, source, whole, problem=error.message), None)
        return _Job(Arrival(submission, live.policy.digest, source, whole), live)

    def _sort(
        self,
        jobs: Iterable[_Job],
        outcomes: Iterable[ClaimResult | BaseException],
        failures: list[Failure],
    ) -> tuple[list[tuple[_Job, ClaimResult]], list[UnavailableError]]:
        """Return the claims, and why others have to wait; what else failed goes to `failures`."""
        claims: list[tuple[_Job, ClaimResult]] = []
        away: list[UnavailableError] = []
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, ClaimResult):
                claims.append((job.known_as(outcome), outcome))
            elif isinstance(outcome, UnavailableError):
                away.append(outcome)
            else:
                self._fail(job.submission, outcome, failures)
        return claims, away

    def _fail(self, submission: Submission, error: BaseException, failures: list[Failure]) -> None:
        with about(submission.id, submission.traceparent):
            log.error("submission %s cannot be claimed", submission.id, exc_info=error)
        failures.append(Failure(submission, error))

    def _settle(self, job: _Job, claim: ClaimResult, begin: Deadline) -> _Rest:
        # Without a policy there is nothing to do but to wait: that is no job.
        at_work = self.progress.job(job.submission.id) if job.live else nullcontext()
        with about(job.submission.id, job.submission.traceparent), at_work:
            try:
                return self._settle_one(job, claim, begin)
            except UnavailableError as error:
                return error
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                # One must not take the others with it, not even by a panic of a library, which is no
                # Exception.
                log.exception("submission %s cannot be settled", job.submission.id)
                return _LEAVE_ALONE

    def _settle_one(self, job: _Job, claim: ClaimResult, begin: Deadline) -> _Rest:
        submission = job.submission
        match claim.status:
            case ClaimStatus.CLAIMED:
                return self._judge(job, claim) if _is_open(begin) else _HAND_ON
            case ClaimStatus.POISON:
                self.moderate_image.quarantine(submission, claim.crashes, job.live)
            case ClaimStatus.FAILING:
                self._give_up(job, f"judging it failed {MAX_FAILURES} times")
            case ClaimStatus.NO_POLICY:
                log.warning("submission %s waits: %s", submission.id, job.arrival.problem)
            case ClaimStatus.NO_POLICY_IN_TIME:
                problem = job.arrival.problem or "its policy is not in force"
                self._refuse(submission, UnknownPolicyError(problem))
            case standing:
                level, words = _NOT_JUDGED[standing]
                log.log(level, "submission %s %s", submission.id, words)
                if standing is ClaimStatus.CONFLICT:
                    self.metrics.conflicted()
        return None

    def _judge(self, job: _Job, claim: ClaimResult) -> _Rest:
        submission = job.submission
        try:
            is_last_try = claim.age >= self.missing_for
            self.moderate_image(submission, job.live, is_last_try=is_last_try)
        except SourceNotReadyError as error:
            log.info("submission %s is looked for again: %s", submission.id, error.message)
            pause = min(_rest(claim, SHORTEST_REST), _whole_seconds(self.missing_for - claim.age))
            return ClaimRelease(counts=False, pause=pause, reason="its picture is not there yet")
        except SourceUnavailableError as error:
            return _waiting(error, _rest(claim, SHORTEST_OUTAGE_REST))
        except RemoteUnavailableError as error:
            log.warning("submission %s, attempt %d: %s", submission.id, claim.attempts, error.message)
            return self._failed(job, claim, f"{error.message}, {MAX_FAILURES} times")
        except UnavailableError:
            raise
        except InvalidSubmissionError as error:
            self._refuse(submission, error)
        except Exception as error:
            log.exception("submission %s failed, attempt %d", submission.id, claim.attempts)
            problem = f"judging it failed {MAX_FAILURES} times: {without_queries(repr(error))}"
            return self._failed(job, claim, problem)
        self.claim.settled(submission.id, claim)
        return None

    def _failed(self, job: _Job, claim: ClaimResult, problem: str) -> _Rest:
        """Have it tried again after a pause; after the last attempt the policy's `on_error` decides."""
        failures = claim.attempts - claim.crashes
        if failures < MAX_FAILURES:
            self.metrics.retried()
            return ClaimRelease(counts=True, pause=timedelta(seconds=RETRY_SECONDS[failures - 1]))
        self._give_up(job, problem)
        self.claim.settled(job.submission.id, claim)
        return None

    def _give_up(self, job: _Job, problem: str) -> None:
        self.moderate_image.give_up(job.submission, problem, job.live)

    def _refuse(self, submission: Submission, error: PermanentError) -> None:
        log.error("submission %s refused: %s", submission.id, error.message)
        self.refuse(submission.id, error, submission)

    def _let_go(self, claims: Sequence[tuple[_Job, ClaimResult]], rests: Sequence[_Rest]) -> None:
        """Release what is claimed and has no outcome."""
        held = [
            (job.submission.id, claim, _waiting(rest, None) if isinstance(rest, UnavailableError) else rest)
            for (job, claim), rest in zip(claims, rests, strict=True)
            if rest is not None and claim.status is ClaimStatus.CLAIMED
        ]
        for how in {how for *_, how in held}:
            self.claim.release({name: claim for name, claim, its in held if its == how}, how)
        if handed_on := sum(how == _HAND_ON for *_, how in held):
            log.info("%d submissions are requeued: too many for one worker at once", handed_on)


def _waiting(error: UnavailableError, pause: timedelta | None) -> ClaimRelease:
    """Return how to wait for what is unavailable; with no `pause` the message goes back to the queue."""
    resource = error.resource if isinstance(error, ResourceUnavailableError) else None
    reason = f"{error.message} ({error.hint})" if error.hint else error.message
    return ClaimRelease(counts=False, pause=pause, waits_for=resource, reason=reason)


def _rest(claim: ClaimResult, shortest: timedelta) -> timedelta:
    """Return a pause that grows with the submission's age, in few sizes: each takes a statement."""
    seconds = min(max(claim.age, shortest), LONGEST_REST).total_seconds()
    return timedelta(seconds=2 ** int(math.log2(seconds)))


def _whole_seconds(time: timedelta) -> timedelta:
    return timedelta(seconds=math.ceil(time.total_seconds()))


def _is_open(deadline: Deadline) -> bool:
    try:
        deadline.remaining()
    except TimeoutError:
        return False
    return True
