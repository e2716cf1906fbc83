"""Reviewers: the accounts of the people at the review desk."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from worker.domain.accounts.reviewer import Reviewer, Role
from worker.store.engine.clock import moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import ReviewerRow


@dataclass(frozen=True, slots=True)
class Account:
    """A reviewer as the database holds one."""

    reviewer: Reviewer
    #: None where this person comes through the single sign-on proxy alone.
    password_hash: str | None = field(repr=False)
    #: Whether pictures are shown to this person at once, and not veiled until asked.
    shows_clear: bool
    created_at: datetime
    #: From then on nothing opens for this person; None while it does.
    disabled_at: datetime | None


def add(session: Session, reviewer: Reviewer, password_hash: str | None) -> bool:
    """Make an account; return False where there is one of this name."""
    row = insert_into(
        session,
        ReviewerRow,
        name=reviewer.name,
        role=reviewer.role.value,
        opt_outs=sorted(reviewer.opt_outs),
        severe_per_day=reviewer.severe_per_day,
        password_hash=password_hash,
        created_at=moment(),
    )
    once = row.on_conflict_do_nothing(index_elements=[ReviewerRow.name])
    return session.scalar(once.returning(ReviewerRow.name)) is not None


def find(session: Session, name: str) -> Account | None:
    """Return an account, disabled or not."""
    row = session.get(ReviewerRow, name)
    return account_of(row) if row else None


def everyone(session: Session) -> list[Account]:
    """Return all accounts by name."""
    return [account_of(row) for row in session.scalars(select(ReviewerRow).order_by(ReviewerRow.name))]


def count(session: Session) -> int:
    """Return how many accounts are not disabled."""
    query = select(func.count()).select_from(ReviewerRow).where(ReviewerRow.disabled_at.is_(None))
    return session.scalar(query) or 0


def set_role(session: Session, name: str, role: Role) -> None:
    """Let a person do what this role may."""
    _change(session, name, role=role.value)


def set_opt_outs(session: Session, name: str, labels: Iterable[str]) -> None:
    """Show a person no pictures of these labels."""
    _change(session, name, opt_outs=sorted(labels))


def set_severe_per_day(session: Session, name: str, most: int | None) -> None:
    """Show a person so many severe pictures a day at most; None for no limit."""
    _change(session, name, severe_per_day=most)


def set_password_hash(session: Session, name: str, password_hash: str) -> None:
    """Keep a new password's hash."""
    _change(session, name, password_hash=password_hash)


def set_shows_clear(session: Session, name: str, *, clear: bool) -> None:
    """Keep whether this person wants pictures shown at once."""
    _change(session, name, shows_clear=clear)


def set_disabled(session: Session, name: str, *, disabled: bool) -> None:
    """Let nothing open for a person any more, or let it again."""
    _change(session, name, disabled_at=moment() if disabled else None)


def account_of(row: ReviewerRow) -> Account:
    """Return what a row says."""
    return Account(
        Reviewer(row.name, Role(row.role), frozenset(row.opt_outs), row.severe_per_day),
        row.password_hash,
        row.shows_clear,
        row.created_at,
        row.disabled_at,
    )


def _change(session: Session, name: str, **values: object) -> None:
    session.execute(update(ReviewerRow).where(ReviewerRow.name == name).values(**values))
