"""Reviewers: accounts at the review desk."""

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
    """A reviewer's account as the database holds it."""

    reviewer: Reviewer
    #: None if this person signs in only through the single sign-on proxy.
    password_hash: str | None = field(repr=False)
    #: Whether this person sees pictures at once, not veiled until they unveil them.
    shows_clear: bool
    created_at: datetime
    #: None while the account is enabled.
    disabled_at: datetime | None


def add(session: Session, reviewer: Reviewer, password_hash: str | None) -> bool:
    """Create an account; return False if the name is taken."""
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
    """Return an account, disabled or not, if it exists."""
    row = session.get(ReviewerRow, name)
    return account_of(row) if row else None


def everyone(session: Session) -> list[Account]:
    """Return all accounts by name."""
    return [account_of(row) for row in session.scalars(select(ReviewerRow).order_by(ReviewerRow.name))]


def count(session: Session) -> int:
    """Return the number of enabled accounts."""
    query = select(func.count()).select_from(ReviewerRow).where(ReviewerRow.disabled_at.is_(None))
    return session.scalar(query) or 0


def set_role(session: Session, name: str, role: Role) -> None:
    """Set a person's role."""
    _change(session, name, role=role.value)


def set_opt_outs(session: Session, name: str, labels: Iterable[str]) -> None:
    """Set the labels whose pictures a person is not shown."""
    _change(session, name, opt_outs=sorted(labels))


def set_severe_per_day(session: Session, name: str, most: int | None) -> None:
    """Set how many severe pictures a person is shown a day at most; None for no limit."""
    _change(session, name, severe_per_day=most)


def set_password_hash(session: Session, name: str, password_hash: str) -> None:
    """Store the hash of a new password."""
    _change(session, name, password_hash=password_hash)


def set_shows_clear(session: Session, name: str, *, clear: bool) -> None:
    """Set whether a person sees pictures at once, not veiled."""
    _change(session, name, shows_clear=clear)


def set_disabled(session: Session, name: str, *, disabled: bool) -> None:
    """Disable or enable an account."""
    _change(session, name, disabled_at=moment() if disabled else None)


def account_of(row: ReviewerRow) -> Account:
    """Return the account in a row."""
    return Account(
        Reviewer(row.name, Role(row.role), frozenset(row.opt_outs), row.severe_per_day),
        row.password_hash,
        row.shows_clear,
        row.created_at,
        row.disabled_at,
    )


def _change(session: Session, name: str, **values: object) -> None:
    session.execute(update(ReviewerRow).where(ReviewerRow.name == name).values(**values))
