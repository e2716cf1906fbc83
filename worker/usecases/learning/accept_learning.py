"""Puts what a policy learned in force, and takes it back."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from worker.domain.policies.policy import Policy
from worker.errors import UsageError
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.policies import learned_states
from worker.store.policies.learned_states import LearnedChange, LearnedState

#: An older proposal is made anew: uploads and verdicts have changed since.
_FRESH: Final = timedelta(days=1)
#: Changes that are looked through for the state before.
_HISTORY: Final = 1000


@dataclass(frozen=True, slots=True)
class AcceptLearning:
    """Change which learned state is in force; workers follow within seconds."""

    database: Database
    model_digest: str

    def proposal(self, policy: Policy) -> LearnedState | None:
        """Return the newest proposal for this version if it is from today; else None."""
        with self.database.reading() as session:
            found = learned_states.latest(session, policy.name)
            now = database_now(session)
        if found is None or now - found.created_at > _FRESH:
            return None
        fits = found.policy_digest == policy.digest and found.model_digest == self.model_digest
        return found if fits else None

    def in_force(self, name: str) -> LearnedState | None:
        """Return the state in force of a policy; None if it has learned nothing."""
        with self.database.reading() as session:
            return learned_states.in_force(session).get(name)

    def history(self, name: str, limit: int = 20) -> list[LearnedChange]:
        """Return the latest changes, newest first."""
        with self.database.reading() as session:
            return learned_states.changes(session, name, limit)

    def accept(self, name: str, digest: str, author: str) -> None:
        """Put a proposal in force."""
        with self.database.transaction() as session:
            learned_states.change(session, name, digest, author)

    def take_back(self, name: str, author: str) -> str | None:
        """Put in force what was before the state in force; return its digest, None for nothing learned.

        UsageError if nothing learned is in force.
        """
        with self.database.transaction() as session:
            found = learned_states.changes(session, name, _HISTORY)
            if not found or found[0].learned_digest is None:
                raise UsageError(
                    f"the policy {name} has learned nothing that is in force",
                    hint="moderate policy status shows the versions in force",
                )
            before = _before(found)
            learned_states.change(session, name, before, author)
        return before


def _before(newest_first: list[LearnedChange]) -> str | None:
    """Return the state that the one in force replaced when it was accepted.

    Taking back twice goes back two steps: states that were taken back are passed over.
    """
    accepted: list[str | None] = [None]
    for change in reversed(newest_first):
        if change.learned_digest in accepted:
            del accepted[accepted.index(change.learned_digest) + 1 :]
        else:
            accepted.append(change.learned_digest)
    return accepted[-2]
