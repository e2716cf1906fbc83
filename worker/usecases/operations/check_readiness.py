"""Checks that a worker is ready: the state of its model, policies, database and broker.

An unavailable source of pictures is reported, but the worker stays ready for pictures of other sources.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moderation_client import Client

from worker.encoder.protocol import Encoder
from worker.errors import ModerationError
from worker.images.sources.outages import Outages
from worker.observability.probes import Verdict
from worker.policy_files.library import PolicyLibrary
from worker.store.engine.database import Database
from worker.store.upgrade import schema


@dataclass(slots=True)
class CheckReadiness:
    """Readiness check; model and policies are None, and not ready, until they are loaded."""

    database: Database
    broker: Client
    default_policy: str
    outages: Outages = field(default_factory=Outages)
    encoder: Encoder | None = None
    policies: PolicyLibrary | None = None

    def __call__(self) -> Verdict:
        """Return whether all parts are ready, and the state of each."""
        parts = {
            "model": self._model(),
            "policies": self._policies(),
            "database": _state_of(self.database.describe, self._revision),
            "broker": _state_of(self.broker.address, self._queue),
        }
        ready = all(part["state"] == "ready" for part in parts.values())
        unavailable = sorted(place for place, is_up in self.outages.up.items() if not is_up)
        return ready, {"ready": ready, **parts, "unavailable_sources": unavailable}

    def _model(self) -> dict[str, Any]:
        if self.encoder is None:
            return {"state": "loading"}
        return {"state": "ready", "name": self.encoder.name, "digest": self.encoder.digest}

    def _policies(self) -> dict[str, Any]:
        if self.policies is None:
            return {"state": "loading"}
        states = self.policies.states
        in_force = [
            {
                "policy": state.policy,
                "version": state.digest[:12],
                "shadow": state.shadow,
                "since": state.in_force_since and state.in_force_since.isoformat(),
            }
            for state in states
            if state.digest
        ]
        # A refused file does not matter while an earlier version is in force.
        ready = self.default_policy in self.policies.names
        return {
            "state": "ready" if ready else "away",
            "in_force": in_force,
            "refused": [state.policy for state in states if state.refusal],
        }

    def _revision(self) -> dict[str, Any]:
        schema.check_revision(self.database)
        with self.database.reading() as session:
            return {"revision": schema.revision(session)}

    def _queue(self) -> dict[str, Any]:
        return {"waiting": self.broker.depth().waiting}


def _state_of(where: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"state": "ready", "where": where, **ask()}
    except ModerationError as problem:
        return {"state": "away", "where": where, "problem": problem.message, "hint": problem.hint}
