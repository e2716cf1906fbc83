"""Chooses pictures as examples of a label, from which the next proposal learns."""

from dataclasses import dataclass

from worker.errors import UsageError
from worker.store.engine.database import Database
from worker.store.policies import label_examples
from worker.store.reviews import audit_log


@dataclass(frozen=True, slots=True)
class ChooseExamples:
    """Add and remove examples."""

    database: Database

    def add(self, policy: str, label: str, sha256: str | None, author: str) -> None:
        """Choose a picture as an example of a label; UsageError if it was not judged."""
        if sha256 is None:
            raise UsageError("this picture was not judged, so it cannot be an example")
        with self.database.transaction() as session:
            label_examples.add(session, policy, label, sha256, author)
            audit_log.note(
                session, author, audit_log.EXAMPLE_ADDED, policy=policy, label=label, sha256=sha256
            )

    def remove(self, policy: str, label: str, sha256: str, author: str) -> None:
        """Choose a picture no longer as an example of a label."""
        with self.database.transaction() as session:
            label_examples.remove(session, policy, label, sha256)
            audit_log.note(
                session, author, audit_log.EXAMPLE_REMOVED, policy=policy, label=label, sha256=sha256
            )

    def of(self, policy: str, sha256: str) -> list[str]:
        """Return the labels of which a picture is an example."""
        with self.database.reading() as session:
            return label_examples.labels_of(session, policy, sha256)
