"""Submissions that reach a worker, and their rows in the ledger, inserted and locked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from moderation_client.submission import Submission
from sqlalchemy import case
from sqlalchemy.orm import Session

from worker.store.engine.clock import moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import SubmissionRow
from worker.store.submissions import accepting


@dataclass(frozen=True, slots=True)
class Arrival:
    """A submission that reached a worker, and what the ledger has to store about it."""

    submission: Submission
    #: Of the policy version that would decide it; None if its policy is not in force here.
    policy_digest: str | None
    #: Where the picture is, without secrets; None if it came inside the message.
    source: Mapping[str, Any] | None
    #: The complete source, as in the message.
    pending_source: Mapping[str, Any]
    #: Why its policy is not in force here; None if it is.
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A submission's row in the ledger, locked."""

    id: str
    state: str
    fingerprint: str | None
    sha256: str | None
    source: dict[str, Any] | None
    attempts: int
    crashes: int
    claimed_by: str | None
    claimed_until: datetime | None
    #: None if it has an outcome, or is new.
    publish_at: datetime | None
    refuse_at: datetime | None
    policy_digest: str | None
    again: str | None
    traceparent: str | None
    created_at: datetime

    @property
    def is_new(self) -> bool:
        """Whether only its message requests this judgement, first or second: HTTP did not accept it."""
        return self.publish_at is None

    @property
    def since(self) -> datetime | None:
        """Since when it has been undecided; None if this is a second judgement."""
        return None if self.state == "decided" else self.created_at

    @property
    def failures(self) -> int:
        """How many attempts ended neither with an outcome nor with a crash."""
        return self.attempts - self.crashes if self.publish_at else 0


_COLUMNS: Final = [getattr(SubmissionRow, name) for name in Known.__dataclass_fields__]


def is_known(one: Arrival, locked: Mapping[str, Known]) -> bool:
    """Whether an arrival is the submission that has its id in the ledger."""
    return accepting.is_same(locked[one.submission.id], one.submission, one.source)


def lock(session: Session, arrivals: Sequence[Arrival]) -> dict[str, Known]:
    """Insert new submissions, reset refused ones; lock all rows and return them.

    In the order of their ids, so that two workers with the same submissions never deadlock.
    """
    firsts = {one.submission.id: one for one in reversed(arrivals)}
    rows = [
        accepting.entry(one.submission, one.source, one.pending_source) | {"id": name, "publish_at": None}
        for name, one in sorted(firsts.items())
    ]
    if not rows:
        return {}
    insert = insert_into(session, SubmissionRow, updated_at=moment())
    was_refused = SubmissionRow.state == "refused"
    anew = {
        name: case((was_refused, insert.excluded[name]), else_=getattr(SubmissionRow, name))
        for name in (rows[0].keys() | {"created_at", "updated_at"}) - {"id"}
    }
    upsert = insert.on_conflict_do_update(index_elements=[SubmissionRow.id], set_=anew)
    # Bypass the session, which would read each existing row once more.
    found = session.connection().execute(upsert.returning(*_COLUMNS), rows)
    return {row.id: Known(*row) for row in found}
