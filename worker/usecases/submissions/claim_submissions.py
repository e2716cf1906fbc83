"""Claims submissions for this process, and renews their leases until they are settled or released."""

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
from worker.store.submissions import claim_leases, claims
from worker.store.submissions.arrivals import Arrival
from worker.store.submissions.claim_leases import ClaimRelease
from worker.store.submissions.claim_status import ClaimResult, ClaimStatus
from worker.store.submissions.claims import POLICY_WAIT

log = logging.getLogger(__name__)

RENEW_SECONDS: Final = 5.0
#: A release that the database rejects is retried after this.
RELEASE_AGAIN_SECONDS: Final = 60.0
#: A job that takes longer hangs: its lease is no longer renewed, so that another worker gets it.
MAX_HELD_SECONDS: Final = 15 * 60.0


@dataclass(frozen=True, slots=True)
class _Held:
    claim: ClaimResult
    since: float


@dataclass(frozen=True, slots=True)
class _Pending:
    """A release that is not written to the ledger yet."""

    claim: ClaimResult
    how: ClaimRelease
    #: If the database rejected it: not retried before this time.
    not_before: float = 0.0


class ClaimSubmissions:
    """Holds the claims of this process; thread-safe."""

    def __init__(
        self,
        database: Database,
        process: str,
        clock: Callable[[], float] = time.monotonic,
        policy_wait: timedelta = POLICY_WAIT,
    ) -> None:
        """Claim for `process`; a message whose policy is not in force is refused after `policy_wait`."""
        self._database = database
        self._policy_wait = policy_wait
        self._process = process
        self._clock = clock
        self._lock = Lock()
        #: Being claimed; held once the transaction is committed.
        self._claiming: set[str] = set()
        self._held: dict[str, _Held] = {}
        self._pending: dict[str, _Pending] = {}
        #: Crashed submissions that are queued locally, counted by the messages that brought them.
        self._postponed: Counter[str] = Counter()
        #: Held while releasing: a second release could end a claim that followed the first.
        self._flushing = Lock()

    def __call__(self, arrivals: Sequence[Arrival], *, exclusive: bool = False) -> list[ClaimResult]:
        """Claim in one transaction and return the results in order; nothing is claimed if this raises.

        `exclusive`: this process holds no other claim, so that crashed submissions can be claimed.
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
                    alone=exclusive,
                    policy_wait=self._policy_wait,
                )
                for one, claim in zip(arrivals, found, strict=True):
                    if claim.status is ClaimStatus.CLAIMED:
                        taken[one.submission.id] = _Held(claim, self._clock())
                # Before the commit: a thread that waits for these rows must see that this process has them.
                with self._lock:
                    self._claiming |= taken.keys()
            with self._lock:
                self._held |= taken
        finally:
            with self._lock:
                self._claiming -= taken.keys()
        return found

    def settled(self, submission_id: str, claim: ClaimResult) -> None:
        """Drop a claim whose submission has its outcome."""
        self._forget({submission_id: claim})

    def release(self, ended: Mapping[str, ClaimResult], how: ClaimRelease) -> None:
        """Release claims without an outcome; if the database is unavailable, as soon as it answers."""
        with self._lock:
            self._pending |= {name: _Pending(claim, how) for name, claim in ended.items()}
        self._forget(ended)
        try:
            self._flush()
        except UnavailableError as error:
            log.warning("%d claims are released later: %s", len(ended), error.message)

    def renew(self) -> None:
        """Renew the leases; take back crashes that others counted while this process was suspended."""
        self._flush()
        self._abandon_hanging()
        with self._lock:
            held = {name: one.claim for name, one in self._held.items()}
            postponed = sorted(self._postponed)
        # One row that the database rejects must not let the other leases expire.
        outcomes = in_halves(self._renew, sorted(held.items()), "renewing claims")
        outcomes += in_halves(self._postpone, postponed, "postponing crashed submissions")
        for failure in outcomes:
            if isinstance(failure, BaseException):
                raise failure

    def renewing(self) -> AbstractContextManager[None]:
        """Renew the claims periodically while the context lasts."""
        return run_periodically(self.renew, RENEW_SECONDS, name="renewing claims")

    @contextmanager
    def postponing(self, ids: Collection[str]) -> Iterator[None]:
        """Postpone republishing crashed submissions that are queued locally; lapses if this process dies."""
        with self._lock:
            self._postponed.update(ids)
        try:
            yield
        finally:
            with self._lock:
                # Subtracting removes the ids whose count falls to 0.
                self._postponed -= Counter(ids)

    def _has_claimed(self, submission_id: str) -> bool:
        with self._lock:
            return any(submission_id in some for some in (self._claiming, self._held, self._pending))

    def _renew(self, held: Sequence[tuple[str, ClaimResult]]) -> list[None]:
        if held:
            with self._database.transaction() as session:
                kept = claim_leases.renew(session, self._process, [name for name, _ in held])
                lost = {name: claim for name, claim in held if name not in kept}
                claim_leases.take_back_crashes(session, lost)
            self._forget(lost)
        return [None] * len(held)

    def _postpone(self, ids: Sequence[str]) -> list[None]:
        if ids:
            with self._database.transaction() as session:
                claim_leases.expect(session, ids)
        return [None] * len(ids)

    def _flush(self) -> None:
        """Write the pending releases; after UnavailableError they are still pending."""
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
                    written |= claim_leases.release(session, self._process, ids, how)
                lost = {name: one.claim for name, one in pending if name not in written}
                claim_leases.take_back_crashes(session, lost)
        return [None] * len(pending)

    def _note_release(self, name: str, one: _Pending, failure: BaseException | None) -> None:
        if isinstance(failure, UnavailableError):
            return
        if failure:
            log.error(
                "the claim of submission %s cannot be released, retrying in %g s: %s",
                name,
                RELEASE_AGAIN_SECONDS,
                in_a_line(failure),
            )
        with self._lock:
            # Unless it was claimed and released again.
            if self._pending.get(name) is one:
                del self._pending[name]
                if failure:
                    self._pending[name] = replace(one, not_before=self._clock() + RELEASE_AGAIN_SECONDS)

    def _abandon_hanging(self) -> None:
        with self._lock:
            late = {
                name: one.claim
                for name, one in self._held.items()
                if self._clock() - one.since > MAX_HELD_SECONDS
            }
        for name in late:
            log.error(
                "submission %s has been claimed for %g s: another worker may claim it now",
                name,
                MAX_HELD_SECONDS,
            )
        self._forget(late)

    def _forget(self, ended: Mapping[str, ClaimResult]) -> None:
        with self._lock:
            for name, claim in ended.items():
                # Unless it was claimed again.
                if name in self._held and self._held[name].claim is claim:
                    del self._held[name]
