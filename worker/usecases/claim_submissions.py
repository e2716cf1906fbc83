"""Takes submissions in hand for this process and keeps them: a lease is renewed for as long as we live."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Final

from worker.background import repeated
from worker.errors import UnavailableError
from worker.store import claims
from worker.store.claims import Arrival, Claim, Release, Standing
from worker.store.database import Database

log = logging.getLogger(__name__)

RENEW_SECONDS: Final = 5.0
#: What is in hand this long hangs: it is renewed no more, so that another worker gets it.
MAX_HELD_SECONDS: Final = 15 * 60.0


@dataclass(frozen=True, slots=True)
class _Held:
    claim: Claim
    since: float


@dataclass(frozen=True, slots=True)
class _Owed:
    """A claim that is over, though the ledger does not say so yet."""

    claim: Claim
    how: Release


class ClaimSubmissions:
    """Safe to use from many threads."""

    def __init__(self, database: Database, process: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._process = process
        self._clock = clock
        self._lock = Lock()
        #: Being claimed, to be in hand with the commit.
        self._coming: set[str] = set()
        self._held: dict[str, _Held] = {}
        self._owed: dict[str, _Owed] = {}
        #: Suspects that wait here for their turn, each as often as a message here brought it.
        self._expected: Counter[str] = Counter()
        #: Nothing is released twice: the second release could end a claim that came after the first.
        self._paying = Lock()

    def __call__(self, arrivals: Sequence[Arrival], *, alone: bool = False) -> list[Claim]:
        """Return how each stands, in one transaction; UnavailableError, and then none is in hand.

        `alone`: nothing else is in hand here.
        """
        self._pay()
        taken: dict[str, _Held] = {}
        try:
            with self._database.transaction() as session:
                found = claims.claim(session, arrivals, self._process, self._has_in_hand, alone=alone)
                for one, claim in zip(arrivals, found, strict=True):
                    if claim.standing is Standing.CLAIMED:
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

    def together(self, messages: Sequence[Sequence[Arrival]]) -> list[list[Claim]]:
        """Claim what several messages bring, in one transaction; return the claims of each."""
        found = iter(self([one for arrivals in messages for one in arrivals]))
        return [list(islice(found, len(arrivals))) for arrivals in messages]

    def settled(self, submission_id: str, claim: Claim) -> None:
        """Forget what has its outcome."""
        self._forget({submission_id: claim})

    def release(self, over: Mapping[str, Claim], how: Release) -> None:
        """Let go of claims without an outcome; while the database is away, as soon as it is back."""
        with self._lock:
            self._owed |= {name: _Owed(claim, how) for name, claim in over.items()}
        self._forget(over)
        try:
            self._pay()
        except UnavailableError as error:
            log.warning("%d submissions are let go of later: %s", len(over), error.message)

    def renew(self) -> None:
        """Renew what is in hand, and take back crashes that others counted while this process stood still."""
        self._pay()
        self._give_up_what_hangs()
        with self._lock:
            held = {name: one.claim for name, one in self._held.items()}
            expected = set(self._expected)
        if not held and not expected:
            return
        with self._database.transaction() as session:
            claims.expect(session, expected)
            kept = claims.renew(session, self._process, held.keys())
            lost = {name: claim for name, claim in held.items() if name not in kept}
            claims.take_back_crashes(session, lost)
        self._forget(lost)

    def renewing(self) -> AbstractContextManager[None]:
        """Renew while the context lasts."""
        return repeated(self.renew, RENEW_SECONDS, name="renewing what is in hand")

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

    def _has_in_hand(self, submission_id: str) -> bool:
        with self._lock:
            return any(submission_id in some for some in (self._coming, self._held, self._owed))

    def _pay(self) -> None:
        """Tell the ledger of the claims that are over."""
        if not self._owed:
            return
        with self._paying:
            with self._lock:
                owed = dict(self._owed)
            with self._database.transaction() as session:
                told: set[str] = set()
                for how in {one.how for one in owed.values()}:
                    ids = [name for name, one in owed.items() if one.how == how]
                    told |= claims.release(session, self._process, ids, how)
                lost = {name: one.claim for name, one in owed.items() if name not in told}
                claims.take_back_crashes(session, lost)
            with self._lock:
                for name, one in owed.items():
                    if self._owed.get(name) is one:
                        del self._owed[name]

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

    def _forget(self, over: Mapping[str, Claim]) -> None:
        with self._lock:
            for name, claim in over.items():
                # Unless it is in hand anew.
                if name in self._held and self._held[name].claim is claim:
                    del self._held[name]
