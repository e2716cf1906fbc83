"""Settles the submissions of a message: claim, judge, then record an outcome or release for a retry."""

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
from worker.store.submissions.arrivals import Arrival
from worker.store.submissions.claim_leases import ClaimRelease
from worker.store.submissions.claim_status import MAX_FAILURES, ClaimResult, ClaimStatus
from worker.usecases.moderation.moderate_image import ModerateImage
from worker.usecases.submissions.claim_submissions import ClaimSubmissions
from worker.usecases.submissions.refuse_submission import RefuseSubmission

log = logging.getLogger(__name__)

#: Pauses before the second and the third attempt: a busy server is not asked again at once.
RETRY_SECONDS: Final = (2.0, 8.0)
#: Entries of a batch message not started by then are requeued, for any worker that has room.
BEGIN_SECONDS: Final = 20.0
#: How long crashed submissions are judged in exclusive mode before waiting threads get their turn.
TURN_SECONDS: Final = 5.0

#: Not started in time: published again at once.
_REQUEUE: Final = ClaimRelease(counts=False, pause=timedelta())
#: Pauses before a missing picture, or an unavailable source, is read again.
SHORTEST_MISSING_PAUSE: Final = timedelta(seconds=1)
SHORTEST_OUTAGE_PAUSE: Final = timedelta(seconds=4)
LONGEST_PAUSE: Final = timedelta(minutes=5)
#: Recording the failure failed: retry in a minute.
_RETRY_LATER: Final = ClaimRelease(counts=True, pause=timedelta(minutes=1))

#: Log level and wording for a submission that is not judged now.
_NOT_JUDGED: Final = {
    ClaimStatus.DECIDED: (logging.INFO, "was decided before"),
    ClaimStatus.IN_FLIGHT: (logging.INFO, "is being processed already, or waits for its next attempt"),
    ClaimStatus.CRASHED: (logging.WARNING, "was being processed when a worker died: it is judged alone"),
    ClaimStatus.CONFLICT: (logging.ERROR, "is not judged: its id belongs to another submission"),
}

#: Applies a function to each item, in turn or concurrently, and returns the results in order: `map`.
MapFunction = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
#: What a job leaves to do: nothing, release the claim, or wait for a resource that is unavailable.
_JobResult = ClaimRelease | UnavailableError | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A submission that could not be entered into the ledger, for an unforeseen reason."""

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

    def with_ledger_facts(self, claim: ClaimResult) -> "_Job":
        """Return this job with the submission's trace and age from the ledger, if it has them."""
        one = self.submission
        since = min((moment for moment in (one.sent_at, claim.since) if moment), default=None)
        known = replace(one, traceparent=claim.traceparent or one.traceparent, sent_at=since)
        return replace(self, arrival=replace(self.arrival, submission=known))


@dataclass(frozen=True, slots=True)
class SettleSubmissions:
    """Claim submissions, judge those claimed, and record in the ledger how it went; safe to repeat."""

    moderate_image: ModerateImage
    refuse: RefuseSubmission
    claim: ClaimSubmissions
    #: `claim`, batched: threads share its transactions; returns the result or the error of each claim.
    claim_each: Callable[[Sequence[Arrival]], Sequence[ClaimResult | BaseException]]
    isolation: SharedLock
    metrics: Metrics
    progress: Progress
    #: How long to retry a missing picture, counted from when its submission was first known.
    missing_for: timedelta = timedelta()

    def __call__(self, submissions: Sequence[Submission], map_jobs: MapFunction = map) -> list[Failure]:
        """Settle each submission; when this returns, all but the failures are recorded in the ledger.

        UnavailableError if a resource is unavailable: the message must be requeued. What is settled already
        stays settled.
        """
        failures: list[Failure] = []
        with self.isolation.shared():
            crashed = self._claim_and_run(submissions, map_jobs, failures)
        if crashed:
            with self.claim.postponing([one.id for one in crashed]):
                self._run_crashed(deque(crashed), failures)
        return failures

    def _run_crashed(self, crashed: deque[Submission], failures: list[Failure]) -> None:
        """Claim and judge one after another in exclusive mode, since each may kill this process."""
        while crashed:
            with self.isolation.exclusive():
                turn = Deadline(TURN_SECONDS)
                self._claim_and_run([crashed.popleft()], map, failures, exclusive=True)
                while crashed and _has_time(turn):
                    self._claim_and_run([crashed.popleft()], map, failures, exclusive=True)

    def _claim_and_run(
        self,
        submissions: Sequence[Submission],
        map_jobs: MapFunction,
        failures: list[Failure],
        *,
        exclusive: bool = False,
    ) -> list[Submission]:
        """Claim submissions and run their jobs; return the crashed ones, which need exclusive mode."""
        # The claim is committed before a picture is touched: whatever happens then, the attempt is known.
        jobs = list(self._prepare_jobs(submissions, failures))
        arrivals = [job.arrival for job in jobs]
        with self.metrics.stage("claim"):
            outcomes = self._claim_exclusively(arrivals) if exclusive else self.claim_each(arrivals)
        claims, outages = self._sort_outcomes(jobs, outcomes, failures)
        begin = Deadline(BEGIN_SECONDS)
        results = list(map_jobs(lambda pair: self._run_job(pair[0], pair[1], begin), claims))
        self._release_unsettled(claims, results)
        for result in (*outages, *results):
            if isinstance(result, UnavailableError):
                raise result
        return [job.submission for job, claim in claims if claim.status is ClaimStatus.CRASHED]

    def _claim_exclusively(self, arrivals: Sequence[Arrival]) -> Sequence[ClaimResult | BaseException]:
        return in_halves(lambda some: self.claim(some, exclusive=True), arrivals, "claiming submissions")

    def _prepare_jobs(self, submissions: Iterable[Submission], failures: list[Failure]) -> Iterator[_Job]:
        for submission in submissions:
            try:
                yield self._prepare_job(submission)
            except Exception as error:  # noqa: BLE001 - one submission must not fail the others
                self._note_failure(submission, error, failures)

    def _prepare_job(self, submission: Submission) -> _Job:
        source, whole = source_record(submission.source), to_message(submission)["source"]
        try:
            live = self.moderate_image.policy_of(submission)
        except UnknownPolicyError as error:
            return _Job(Arrival(submission, None, source, whole, problem=error.message), None)
        return _Job(Arrival(submission, live.policy.digest, source, whole), live)

    def _sort_outcomes(
        self,
        jobs: Iterable[_Job],
        outcomes: Iterable[ClaimResult | BaseException],
        failures: list[Failure],
    ) -> tuple[list[tuple[_Job, ClaimResult]], list[UnavailableError]]:
        """Return the claims, and the outages that others wait for; add other errors to `failures`."""
        claims: list[tuple[_Job, ClaimResult]] = []
        outages: list[UnavailableError] = []
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, ClaimResult):
                claims.append((job.with_ledger_facts(outcome), outcome))
            elif isinstance(outcome, UnavailableError):
                outages.append(outcome)
            else:
                self._note_failure(job.submission, outcome, failures)
        return claims, outages

    def _note_failure(self, submission: Submission, error: BaseException, failures: list[Failure]) -> None:
        with about(submission.id, submission.traceparent):
            log.error("submission %s cannot be claimed", submission.id, exc_info=error)
        failures.append(Failure(submission, error))

    def _run_job(self, job: _Job, claim: ClaimResult, begin: Deadline) -> _JobResult:
        """Act on a claim; never raise because of one submission."""
        # Without a policy it can only wait, which does not count as a job in flight.
        in_flight = self.progress.job(job.submission.id) if job.live else nullcontext()
        with about(job.submission.id, job.submission.traceparent), in_flight:
            try:
                return self._act_on_claim(job, claim, begin)
            except UnavailableError as error:
                return error
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                # One submission must not fail the others, not even by the panic of a library, which is
                # no Exception.
                log.exception("submission %s cannot be settled", job.submission.id)
                return _RETRY_LATER

    def _act_on_claim(self, job: _Job, claim: ClaimResult, begin: Deadline) -> _JobResult:
        """Do what the status of a claim asks for; only CLAIMED submissions are judged."""
        submission = job.submission
        match claim.status:
            case ClaimStatus.CLAIMED:
                return self._judge_claimed(job, claim) if _has_time(begin) else _REQUEUE
            case ClaimStatus.POISON:
                self.moderate_image.quarantine(submission, claim.crashes, job.live)
            case ClaimStatus.FAILING:
                self._give_up(job, f"judging it failed {MAX_FAILURES} times")
            case ClaimStatus.NO_POLICY:
                log.warning("submission %s waits: %s", submission.id, job.arrival.problem)
            case ClaimStatus.NO_POLICY_IN_TIME:
                problem = job.arrival.problem or "its policy is not in force"
                self._refuse(submission, UnknownPolicyError(problem))
            case status:
                level, words = _NOT_JUDGED[status]
                log.log(level, "submission %s %s", submission.id, words)
                if status is ClaimStatus.CONFLICT:
                    self.metrics.conflicted()
        return None

    def _judge_claimed(self, job: _Job, claim: ClaimResult) -> _JobResult:
        """Judge a claimed submission; if that fails, return how to release it for another attempt."""
        submission = job.submission
        try:
            is_last_try = claim.age >= self.missing_for
            self.moderate_image(submission, job.live, is_last_try=is_last_try)
        except SourceNotReadyError as error:
            log.info("submission %s: its picture is read again later: %s", submission.id, error.message)
            pause = min(_pause(claim, SHORTEST_MISSING_PAUSE), _whole_seconds(self.missing_for - claim.age))
            return ClaimRelease(counts=False, pause=pause, reason="its picture is not there yet")
        except SourceUnavailableError as error:
            return _release_for_outage(error, _pause(claim, SHORTEST_OUTAGE_PAUSE))
        except RemoteUnavailableError as error:
            log.warning("submission %s, attempt %d: %s", submission.id, claim.attempts, error.message)
            return self._retry_or_give_up(job, claim, f"{error.message}, {MAX_FAILURES} times")
        except UnavailableError:
            raise
        except InvalidSubmissionError as error:
            self._refuse(submission, error)
        except Exception as error:
            log.exception("submission %s failed, attempt %d", submission.id, claim.attempts)
            problem = f"judging it failed {MAX_FAILURES} times: {without_queries(repr(error))}"
            return self._retry_or_give_up(job, claim, problem)
        self.claim.settled(submission.id, claim)
        return None

    def _retry_or_give_up(self, job: _Job, claim: ClaimResult, problem: str) -> _JobResult:
        """Release the claim for a retry; after the last attempt let the policy's `on_error` decide."""
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

    def _release_unsettled(
        self, claims: Sequence[tuple[_Job, ClaimResult]], results: Sequence[_JobResult]
    ) -> None:
        """Release the claims that have no outcome."""
        held = [
            (
                job.submission.id,
                claim,
                _release_for_outage(result, None) if isinstance(result, UnavailableError) else result,
            )
            for (job, claim), result in zip(claims, results, strict=True)
            if result is not None and claim.status is ClaimStatus.CLAIMED
        ]
        for how in {how for *_, how in held}:
            self.claim.release({name: claim for name, claim, release in held if release == how}, how)
        if requeued := sum(how == _REQUEUE for *_, how in held):
            log.info("%d submissions are requeued: too many for one worker at once", requeued)


def _release_for_outage(error: UnavailableError, pause: timedelta | None) -> ClaimRelease:
    """Return a release that waits for what is unavailable; with no `pause` the message is requeued."""
    resource = error.resource if isinstance(error, ResourceUnavailableError) else None
    reason = f"{error.message} ({error.hint})" if error.hint else error.message
    return ClaimRelease(counts=False, pause=pause, waits_for=resource, reason=reason)


def _pause(claim: ClaimResult, shortest: timedelta) -> timedelta:
    """Return a pause that grows with the submission's age, in powers of 2: each size takes a statement."""
    seconds = min(max(claim.age, shortest), LONGEST_PAUSE).total_seconds()
    return timedelta(seconds=2 ** int(math.log2(seconds)))


def _whole_seconds(time: timedelta) -> timedelta:
    return timedelta(seconds=math.ceil(time.total_seconds()))


def _has_time(deadline: Deadline) -> bool:
    try:
        deadline.remaining()
    except TimeoutError:
        return False
    return True
