"""UPDATE of several submissions, locked in the order of their ids so that writers never deadlock."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, case, collate, literal, select, update
from sqlalchemy.orm import Session

from worker.store.engine.column_types import FreeText
from worker.store.engine.tables import SubmissionRow


def update_submissions(
    session: Session, ids: Iterable[str], *where: ColumnElement[bool], **values: object
) -> set[str]:
    """Write `values` into the rows of `ids` that match `where`; return the ids written."""
    wanted = list(ids)
    if not wanted:
        return set()
    locked = (
        select(SubmissionRow.id)
        .where(SubmissionRow.id.in_(wanted), *where)
        .order_by(in_order(session))
        .with_for_update()
    )
    result = session.execute(
        update(SubmissionRow)
        .where(SubmissionRow.id.in_(locked))
        .values(**values)
        .returning(SubmissionRow.id)
        .execution_options(synchronize_session=False)
    )
    return set(cast("CursorResult[Any]", result).scalars())


def in_order(session: Session) -> ColumnElement[str]:
    """Return the ids as a sort key that orders as Python does, whatever the database's collation."""
    by_bytes = session.get_bind().dialect.name == "postgresql"
    return collate(SubmissionRow.id, "C") if by_bytes else SubmissionRow.id.expression


def by_id(values: Mapping[str, str | None]) -> Any:
    """Return an expression for each row's value by its id; the plain value if all rows get the same."""
    if len(distinct := set(values.values())) == 1:
        return distinct.pop()
    return case({name: literal(value, FreeText) for name, value in values.items()}, value=SubmissionRow.id)
