"""Loads what a policy version learned, and finds out which state is in force."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from worker.domain.moderation.learned import Adjustment, Learned
from worker.domain.policies.policy import Policy
from worker.errors import InvalidLearnedError, UnavailableError
from worker.store.engine.database import Database
from worker.store.policies import learned_states
from worker.store.policies.learned_states import LearnedState

log = logging.getLogger(__name__)

#: How long the states in force are remembered: the policy folder is looked at more often.
_REMEMBERED_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class LoadLearned:
    """Load what policy versions learned under this model."""

    database: Database
    model_digest: str

    def __call__(self, policy: Policy) -> Adjustment | None:
        """Return how the version changes logits; None if it has learned nothing.

        InvalidLearnedError if its state is missing, damaged, or belongs to another model.
        """
        if not policy.learned:
            return None
        with self.database.reading() as session:
            state = learned_states.state_of(session, policy.learned)
        if state is None:
            raise InvalidLearnedError(
                f"the policy {policy.name} has learned {policy.learned[:12]}, which is no longer stored",
                hint=f"take it back: moderate policy learn {policy.name} --take-back",
            )
        learned = Learned.from_bytes(state)
        if learned.model_digest != self.model_digest:
            raise InvalidLearnedError(
                f"the policy {policy.name} learned {policy.learned[:12]} with another model",
                hint="learn again with this one: moderate policy learn",
            )
        return Adjustment(policy, learned)


@dataclass(frozen=True, slots=True)
class LearnedInForce:
    """Find the states that are in force under this model; a process asks often, the database rarely."""

    load: LoadLearned
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: dict[str, LearnedState] = field(default_factory=dict)
    _asked_at: list[float] = field(default_factory=lambda: [-_REMEMBERED_SECONDS])

    def __call__(self, name: str) -> LearnedState | None:
        """Return the state in force of a policy; while the database is unavailable, the last known."""
        with self._lock:
            if time.monotonic() - self._asked_at[0] >= _REMEMBERED_SECONDS:
                self._refresh()
            return self._known.get(name)

    def digest_of(self, name: str) -> str:
        """Return the digest of the state in force of the policy `name`; empty if there is none."""
        state = self(name)
        return state.digest if state else ""

    def learn(self, policy: Policy) -> Policy:
        """Return the version of a policy that has learned what is in force for it."""
        state = self(policy.name)
        return policy.with_learned(state.thresholds) if state else policy

    def _refresh(self) -> None:
        try:
            found = self._read()
        except UnavailableError as problem:
            log.warning("what policies learned is not known now: %s; the last known applies", problem.message)
            return
        self._known.clear()
        self._known.update(found)
        self._asked_at[0] = time.monotonic()

    def _read(self) -> Mapping[str, LearnedState]:
        with self.load.database.reading() as session:
            found = learned_states.in_force(session)
        return {name: one for name, one in found.items() if one.model_digest == self.load.model_digest}
