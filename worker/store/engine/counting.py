"""Counts rows up to a bound, so that counting a large table stays cheap."""

from typing import Final

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

#: The usual bound: people need no exact number beyond it.
MOST: Final = 10_000


def count_up_to(session: Session, most: int, *which: ColumnElement[bool]) -> int:
    """Return how many rows match; `most + 1` means "more than `most`"."""
    found = select(literal_column("1")).where(*which).limit(most + 1).subquery()
    return session.scalar(select(func.count()).select_from(found)) or 0
