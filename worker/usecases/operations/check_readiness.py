"""Whether a worker has all it needs: model, policies, database, broker, each with its state.

A place of pictures that is unavailable is shown, and keeps no worker from what lies elsewhere.
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
    """Call it for the verdict; while the worker starts, what is not loaded yet is None and not ready."""

    database: Database
    broker: Client
    default_policy: str
    outages: Outages = field(default_factory=Outages)
    encoder: Encoder | None = None
    policies: PolicyLibrary | None = None

    def __call__(self) -> Verdict:
        """Return whether all is ready, and the state of each."""
        parts = {
            "model": self._model(),
            "policies": self._policies(),
            "database": _asked(self.database.describe, self._revision),
            "broker": _asked(self.broker.address, self._queue),
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
        # A refused file hides no version that decides: what is in force is in force.
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


def _asked(where: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"state": "ready", "where": where, **ask()}
    except ModerationError as problem:
        return {"state": "away", "where": where, "problem": problem.message, "hint": problem.hint}
