"""Counts rows up to a bound, so that a count costs no more than it says."""

from typing import Final

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

#: People need no exact number beyond these.
MOST: Final = 10_000


def count_up_to(session: Session, most: int, *which: ColumnElement[bool]) -> int:
    """Return how many rows there are; one more than `most` stands for any number of them."""
    found = select(literal_column("1")).where(*which).limit(most + 1).subquery()
    return session.scalar(select(func.count()).select_from(found)) or 0
