"""Finds a submission: its ledger entry, every decision on it, and a person's verdict."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, cast

from worker.domain.moderation.in_force import InForce
from worker.store.decisions import decisions
from worker.store.decisions.decisions import RecordedDecision
from worker.store.engine.database import Database
from worker.store.reviews import in_force, verdicts
from worker.store.reviews.verdicts import RecordedVerdict
from worker.store.submissions import submissions
from worker.store.submissions.submissions import LedgerEntry


@dataclass(frozen=True, slots=True)
class KnownSubmission:
    """A submission and its decisions."""

    entry: LedgerEntry
    #: Newest first; the first one counts.
    decisions: tuple[RecordedDecision, ...]
    #: A person's verdict, which overrides the decision; None without one.
    verdict: RecordedVerdict | None
    in_force: InForce

    @property
    def state(self) -> Literal["accepted", "decided", "refused"]:
        """The state: accepted, decided or refused; a decision takes precedence over the ledger."""
        return "decided" if self.decisions else cast("Any", self.entry.state)


@dataclass(frozen=True, slots=True)
class FindSubmission:
    """Look up submissions."""

    database: Database

    def __call__(self, submission_id: str) -> KnownSubmission | None:
        """Return what is known, or None if there is no such submission."""
        with self.database.reading() as session:
            entry = submissions.find(session, submission_id)
            if entry is None:
                return None
            state = in_force.of(session, submission_id)
            found = decisions.of_submissions(session, [submission_id])
            verdict = verdicts.current(session, submission_id) if found else None
        return KnownSubmission(entry, tuple(reversed(found)), verdict, state)

    def named(self, name: str) -> str | None:
        """Return the id of the submission with this id, else with this reference; None if neither exists.

        UsageError if several have the reference.
        """
        with self.database.reading() as session:
            return submissions.named(session, name)

    def entry(self, submission_id: str) -> LedgerEntry | None:
        """Return the ledger entry of a submission, or None if there is no such submission."""
        with self.database.reading() as session:
            return submissions.find(session, submission_id)

    def in_force(self, ids: Collection[str]) -> dict[str, InForce]:
        """Return what is in force on each of these submissions, without those that do not exist."""
        with self.database.reading() as session:
            return in_force.of_submissions(session, ids)

    def is_open(self, submission_id: str) -> bool:
        """Whether it has no outcome yet; cheap enough for polling."""
        with self.database.reading() as session:
            return submissions.is_open(session, submission_id)
