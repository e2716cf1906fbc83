"""Takes submissions in hand for this process and keeps them: a lease is renewed for as long as we live."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Lock
from typing import Final

from worker.concurrency.batching import in_a_line, in_halves
from worker.concurrency.periodic import run_periodically
from worker.errors import UnavailableError
from worker.store.engine.database import Database
from worker.store.submissions import claims
from worker.store.submissions.claims import POLICY_WAIT, Arrival, ClaimRelease, ClaimResult, ClaimStatus

log = logging.getLogger(__name__)

RENEW_SECONDS: Final = 5.0
#: A release that fails though the database answers is tried again after this.
RELEASE_AGAIN_SECONDS: Final = 60.0
#: What is in hand this long hangs: it is renewed no more, so that another worker gets it.
MAX_HELD_SECONDS: Final = 15 * 60.0


@dataclass(frozen=True, slots=True)
class _Held:
    claim: ClaimResult
    since: float


@dataclass(frozen=True, slots=True)
class _Pending:
    """A release that the ledger does not show yet."""

    claim: ClaimResult
    how: ClaimRelease
    #: It failed for a reason of its own, and is not tried before then.
    not_before: float = 0.0


class ClaimSubmissions:
    """Safe to use from many threads."""

    def __init__(
        self,
        database: Database,
        process: str,
        clock: Callable[[], float] = time.monotonic,
        policy_wait: timedelta = POLICY_WAIT,
    ) -> None:
        """Claim for `process`; a message whose policy is in force nowhere is refused after `policy_wait`."""
        self._database = database
        self._policy_wait = policy_wait
        self._process = process
        self._clock = clock
        self._lock = Lock()
        #: Being claimed, to be in hand with the commit.
        self._coming: set[str] = set()
        self._held: dict[str, _Held] = {}
        self._pending: dict[str, _Pending] = {}
        #: Suspects that wait here for their turn, each as often as a message here brought it.
        self._expected: Counter[str] = Counter()
        #: Nothing is released twice: the second release could end a claim that came after the first.
        self._flushing = Lock()

    def __call__(self, arrivals: Sequence[Arrival], *, alone: bool = False) -> list[ClaimResult]:
        """Claim in one transaction and return how each stands; nothing is claimed if this raises.

        `alone`: this process has claimed nothing else.
        """
        self._flush()
        taken: dict[str, _Held] = {}
        try:
            with self._database.transaction() as session:
                found = claims.claim(
                    session,
                    arrivals,
                    self._process,
                    self._has_claimed,
                    alone=alone,
                    policy_wait=self._policy_wait,
                )
                for one, claim in zip(arrivals, found, strict=True):
                    if claim.status is ClaimStatus.CLAIMED:
                        taken[one.submission.id] = _Held(claim, self._clock())
                # Before the commit, since another thread that waits for it must know whose they are.
                with self._lock:
                    self._coming |= taken.keys()
            with self._lock:
                self._held |= taken
        finally:
            with self._lock:
                self._coming -= taken.keys()
        return found

    def settled(self, submission_id: str, claim: ClaimResult) -> None:
        """Forget what has its outcome."""
        self._forget({submission_id: claim})

    def release(self, over: Mapping[str, ClaimResult], how: ClaimRelease) -> None:
        """End claims without an outcome; if the ledger cannot be written now, as soon as it can."""
        with self._lock:
            self._pending |= {name: _Pending(claim, how) for name, claim in over.items()}
        self._forget(over)
        try:
            self._flush()
        except UnavailableError as error:
            log.warning("%d claims are released later: %s", len(over), error.message)

    def renew(self) -> None:
        """Renew the claims, and take back crashes that others counted while this process stood still."""
        self._flush()
        self._give_up_what_hangs()
        with self._lock:
            held = {name: one.claim for name, one in self._held.items()}
            expected = sorted(self._expected)
        # One that fails for a reason of its own must not let the others' leases run out.
        outcomes = in_halves(self._renew, sorted(held.items()), "renewing claims")
        outcomes += in_halves(self._expect, expected, "postponing what waits for its turn")
        for failure in outcomes:
            if isinstance(failure, BaseException):
                raise failure

    def renewing(self) -> AbstractContextManager[None]:
        """Renew while the context lasts."""
        return run_periodically(self.renew, RENEW_SECONDS, name="renewing claims")

    @contextmanager
    def expecting(self, ids: Collection[str]) -> Iterator[None]:
        """Keep suspects that wait for their turn from being published again, unless this process dies."""
        with self._lock:
            self._expected.update(ids)
        try:
            yield
        finally:
            with self._lock:
                # Minus forgets what is down to none.
                self._expected -= Counter(ids)

    def _has_claimed(self, submission_id: str) -> bool:
        with self._lock:
            return any(submission_id in some for some in (self._coming, self._held, self._pending))

    def _renew(self, held: Sequence[tuple[str, ClaimResult]]) -> list[None]:
        if held:
            with self._database.transaction() as session:
                kept = claims.renew(session, self._process, [name for name, _ in held])
                lost = {name: claim for name, claim in held if name not in kept}
                claims.take_back_crashes(session, lost)
            self._forget(lost)
        return [None] * len(held)

    def _expect(self, ids: Sequence[str]) -> list[None]:
        if ids:
            with self._database.transaction() as session:
                claims.expect(session, ids)
        return [None] * len(ids)

    def _flush(self) -> None:
        """Write the pending releases; UnavailableError, and then they are still pending."""
        if not self._pending:
            return
        with self._flushing:
            with self._lock:
                now = self._clock()
                due = [(name, one) for name, one in self._pending.items() if one.not_before <= now]
            outcomes = in_halves(self._write_releases, due, "releasing claims")
            for (name, one), failure in zip(due, outcomes, strict=True):
                self._note_release(name, one, failure)
            for failure in outcomes:
                if isinstance(failure, UnavailableError):
                    raise failure

    def _write_releases(self, pending: Sequence[tuple[str, _Pending]]) -> list[None]:
        if pending:
            with self._database.transaction() as session:
                written: set[str] = set()
                for how in {one.how for _, one in pending}:
                    ids = [name for name, one in pending if one.how == how]
                    written |= claims.release(session, self._process, ids, how)
                lost = {name: one.claim for name, one in pending if name not in written}
                claims.take_back_crashes(session, lost)
        return [None] * len(pending)

    def _note_release(self, name: str, one: _Pending, failure: BaseException | None) -> None:
        if isinstance(failure, UnavailableError):
            return
        if failure:
            log.error(
                "the claim of submission %s cannot be released, trying again in %g s: %s",
                name,
                RELEASE_AGAIN_SECONDS,
                in_a_line(failure),
            )
        with self._lock:
            # Unless it was claimed and released anew.
            if self._pending.get(name) is one:
                del self._pending[name]
                if failure:
                    self._pending[name] = replace(one, not_before=self._clock() + RELEASE_AGAIN_SECONDS)

    def _give_up_what_hangs(self) -> None:
        with self._lock:
            late = {
                name: one.claim
                for name, one in self._held.items()
                if self._clock() - one.since > MAX_HELD_SECONDS
            }
        for name in late:
            log.error(
                "submission %s has been in hand for %g s: another worker may have it", name, MAX_HELD_SECONDS
            )
        self._forget(late)

    def _forget(self, over: Mapping[str, ClaimResult]) -> None:
        with self._lock:
            for name, claim in over.items():
                # Unless it is in hand anew.
                if name in self._held and self._held[name].claim is claim:
                    del self._held[name]
