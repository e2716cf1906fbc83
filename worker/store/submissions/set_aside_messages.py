"""Messages that no worker could record in the ledger, kept until they are published again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from worker.store.engine.clock import database_now, moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import SetAsideMessageRow


@dataclass(frozen=True, slots=True)
class SetAsideMessage:
    """The arguments of `moderation.check` as JSON, and why they could not be recorded."""

    #: SHA-256 of the message, in hexadecimal.
    digest: str
    #: As in the message; not necessarily a valid id.
    submission_id: str
    message: str
    error: str
    #: When it is due; None if it is not stored yet.
    publish_at: datetime | None = None


def keep(session: Session, one: SetAsideMessage, *, failing_for: timedelta, pause: timedelta) -> None:
    """Keep a message that has failed for `failing_for`, to publish it after `pause`; copies share a row."""
    state = {
        "error": one.error,
        "failing_since": moment(-failing_for),
        "publish_at": moment(pause),
    }
    row = insert_into(
        session,
        SetAsideMessageRow,
        digest=one.digest,
        submission_id=one.submission_id,
        message=one.message,
        **state,
    )
    session.execute(row.on_conflict_do_update(index_elements=[SetAsideMessageRow.digest], set_=state))


def find_due(session: Session, limit: int) -> list[SetAsideMessage]:
    """Return at most `limit` messages that are due, the longest overdue first."""
    row = SetAsideMessageRow
    due = row.publish_at <= database_now(session)
    columns = select(row.digest, row.submission_id, row.message, row.error, row.publish_at)
    found = session.execute(columns.where(due).order_by(row.publish_at).limit(limit))
    return [SetAsideMessage(*one) for one in found]


def forget(session: Session, published: Iterable[SetAsideMessage]) -> None:
    """Delete messages that `find_due` returned, except those that were set aside again since."""
    row = SetAsideMessageRow
    for one in published:
        session.execute(delete(row).where(row.digest == one.digest, row.publish_at == one.publish_at))
