"""What this process has in hand: claimed before it is touched, renewed meanwhile, let go afterwards."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import Final

from worker.background import repeated
from worker.client.messages import source_record, to_message
from worker.domain.submission import Submission
from worker.errors import DatabaseUnavailableError
from worker.policy_files.library import LivePolicy
from worker.store import claims
from worker.store.claims import Arrival, Claim, Outcome
from worker.store.database import Database

log = logging.getLogger(__name__)

RENEW_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """A submission that arrived, the policy version that decides it, and what became of the claim."""

    submission: Submission
    live: LivePolicy
    claim: Claim


@dataclass(frozen=True, slots=True)
class _Release:
    again_in: timedelta
    counts: bool


class HoldClaims:
    """The claims of one process. Safe to use from many threads."""

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process
        self._lock = Lock()
        self._in_hand: set[str] = set()
        #: What could not be let go since the database was away: no crash of ours is to be made of it.
        self._to_release: dict[str, _Release] = {}

    def take(self, arrivals: Sequence[tuple[Submission, LivePolicy]], *, alone: bool = False) -> list[Held]:
        """Claim in one transaction what can be claimed, and say of each what became of it.

        DatabaseUnavailableError where the database is away, and then nothing is claimed.
        """
        if not arrivals:
            return []
        rows = [_arrival(submission, live) for submission, live in arrivals]
        with self._database.transaction() as session:
            taken = claims.take(session, self._process, rows, alone=alone)
        held = [Held(*pair, claim) for pair, claim in zip(arrivals, taken, strict=True)]
        with self._lock:
            mine = {one.submission.id for one in held if one.claim.outcome in _OURS}
            self._in_hand |= mine
            self._to_release = {name: how for name, how in self._to_release.items() if name not in mine}
        return held

    def release(self, submission_id: str, *, again_in: timedelta, counts: bool) -> None:
        """Let go of what is not decided: it is published after `again_in`, a failed attempt if it `counts`.

        A database that is away is no error: it hears of it when it is back.
        """
        with self._lock:
            self._in_hand.discard(submission_id)
            self._to_release[submission_id] = _Release(again_in, counts)
        try:
            self._release_waiting()
        except DatabaseUnavailableError as error:
            log.warning("submission %s is let go later: %s", submission_id, error.message)

    def settled(self, submission_id: str) -> None:
        """Take note that a submission has its outcome."""
        with self._lock:
            self._in_hand.discard(submission_id)

    def renew(self) -> None:
        """Tell the database that this process lives and what it has in hand; errors as in `take`."""
        self._release_waiting()
        with self._lock:
            ids = sorted(self._in_hand)
        if ids:
            with self._database.transaction() as session:
                claims.renew(session, self._process, ids)

    def renewing(self) -> AbstractContextManager[None]:
        """Renew now and again while the context lasts; a failure is only logged."""
        return repeated(self.renew, RENEW_SECONDS, name="renewing the claims on what is in hand")

    def _release_waiting(self) -> None:
        with self._lock:
            waiting = dict(self._to_release)
        if not waiting:
            return
        with self._database.transaction() as session:
            for how in set(waiting.values()):
                ids = sorted(name for name, its in waiting.items() if its == how)
                claims.release(session, self._process, ids, again_in=how.again_in, counts=how.counts)
        with self._lock:
            for name, how in waiting.items():
                if self._to_release.get(name) == how:
                    del self._to_release[name]


_OURS: Final = (Outcome.CLAIMED, Outcome.QUARANTINE)


def _arrival(submission: Submission, live: LivePolicy) -> Arrival:
    return Arrival(
        submission,
        live.policy.digest,
        source=source_record(submission.source),
        pending_source=to_message(submission)["source"],
    )
