"""Manages the accounts of the review desk: add, list, change, disable."""

from dataclasses import dataclass

from worker.domain.accounts.reviewer import Reviewer, Role, reviewer_name
from worker.errors import UsageError
from worker.store.accounts import desk_sessions, passwords, reviewers
from worker.store.accounts.reviewers import Account
from worker.store.engine.database import Database


@dataclass(frozen=True, slots=True)
class Cap:
    """How many severe pictures a day a person is shown at most; None for no limit."""

    severe_per_day: int | None


@dataclass(frozen=True, slots=True)
class ManageReviewers:
    """The accounts; each change is one transaction. UsageError if an account to change does not exist."""

    database: Database

    def require_new(self, name: str) -> None:
        """Raise UsageError if the name is taken."""
        with self.database.reading() as session:
            if reviewers.find(session, name):
                raise _exists(name)

    def add(self, new: Reviewer, password: str | None) -> None:
        """Add an account; UsageError if it exists. Without a password the proxy signs the person in."""
        kept = None if password is None else passwords.hash_of(password)
        with self.database.transaction() as session:
            if not reviewers.add(session, new, kept):
                raise _exists(new.name)

    def everyone(self) -> list[Account]:
        """Return all accounts, disabled ones too."""
        with self.database.reading() as session:
            return reviewers.everyone(session)

    def has_usable(self) -> bool:
        """Whether there is an account that is not disabled."""
        with self.database.reading() as session:
            return reviewers.count(session) > 0

    def known(self, name: str) -> str:
        """Return the normalized name of an existing account."""
        wanted = reviewer_name(name)
        with self.database.reading() as session:
            if reviewers.find(session, wanted) is None:
                raise UsageError(f"there is no reviewer {wanted!r}", hint="moderate reviewer list shows all")
        return wanted

    def disable(self, name: str) -> str:
        """Disable an account and end its sessions; return its name."""
        account = self.known(name)
        with self.database.transaction() as session:
            reviewers.set_disabled(session, account, disabled=True)
            desk_sessions.end_all_of(session, account)
        return account

    def enable(self, name: str) -> str:
        """Enable a disabled account; return its name."""
        account = self.known(name)
        with self.database.transaction() as session:
            reviewers.set_disabled(session, account, disabled=False)
        return account

    def set_password(self, account: str, password: str) -> None:
        """Set the password of a known account, and end its sessions."""
        kept = passwords.hash_of(password)
        with self.database.transaction() as session:
            reviewers.set_password_hash(session, account, kept)
            desk_sessions.end_all_of(session, account)

    def show_clear(self, account: str, *, clear: bool) -> None:
        """Set whether a known account is shown pictures at once, not veiled."""
        with self.database.transaction() as session:
            reviewers.set_shows_clear(session, account, clear=clear)

    def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        opt_outs: frozenset[str] | None = None,
        cap: Cap | None = None,
    ) -> str:
        """Change what is not None, and return the account's name."""
        account = self.known(name)
        with self.database.transaction() as session:
            if role is not None:
                reviewers.set_role(session, account, role)
            if opt_outs is not None:
                reviewers.set_opt_outs(session, account, opt_outs)
            if cap is not None:
                reviewers.set_severe_per_day(session, account, cap.severe_per_day)
        return account


def _exists(name: str) -> UsageError:
    return UsageError(
        f"there is a reviewer {name!r} already", hint=f"moderate reviewer set {name}, or password {name}"
    )
