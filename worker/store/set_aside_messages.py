"""Messages that no worker could enter into the ledger, kept until they are published again."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from worker.store import clock
from worker.store.inserting import insert_into
from worker.store.tables import SetAsideMessageRow


@dataclass(frozen=True, slots=True)
class SetAsideMessage:
    """The arguments of `moderation.check` as JSON, and why they could not be entered."""

    #: SHA-256 of the message, in hexadecimal.
    digest: str
    #: As the message said it, which need not be a valid id.
    submission_id: str
    message: str
    error: str


def keep(session: Session, one: SetAsideMessage, *, failing_for: timedelta, pause: timedelta) -> None:
    """Keep a message that has been failing for so long, to be published after `pause`; copies are one."""
    state = {
        "error": one.error,
        "failing_since": clock.later(session, -failing_for),
        "publish_at": clock.later(session, pause),
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


def is_any_due(session: Session) -> bool:
    """Whether `take_due` would find anything; cheap, and blocks no writer."""
    due = SetAsideMessageRow.publish_at <= clock.database_now(session)
    return bool(session.scalar(select(exists().where(due))))


def take_due(session: Session, limit: int) -> list[SetAsideMessage]:
    """Take out at most `limit` messages that are due, to be published before this is committed."""
    due = select(SetAsideMessageRow.digest).where(SetAsideMessageRow.publish_at <= clock.later(session))
    chosen = due.order_by(SetAsideMessageRow.publish_at).limit(limit).with_for_update(skip_locked=True)
    row = SetAsideMessageRow
    found = session.execute(
        delete(row)
        .where(row.digest.in_(chosen))
        .returning(row.digest, row.submission_id, row.message, row.error)
        .execution_options(synchronize_session=False)
    )
    return [SetAsideMessage(*columns) for columns in found]
