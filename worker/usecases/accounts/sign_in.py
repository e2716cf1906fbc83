"""Signs a person in at the review desk: by password, or through a single sign-on proxy."""

from dataclasses import dataclass

from worker.domain.accounts.reviewer import MAX_PASSWORD_CHARACTERS, reviewer_name
from worker.errors import PermanentError, UsageError
from worker.store.accounts import desk_sessions, login_failures, passwords, reviewers
from worker.store.engine.database import Database


class LoginRefusedError(PermanentError):
    """The name or the password is wrong; the error does not reveal which."""

    http_status = 403


class TooManyLoginsError(LoginRefusedError):
    """Too many logins failed recently."""

    http_status = 429


@dataclass(frozen=True, slots=True)
class SignIn:
    """Start desk sessions."""

    database: Database

    def __call__(self, name: str, password: str, address: str, browser: str = "") -> str:
        """Return the token of a new session; LoginRefusedError after the same time whatever is wrong.

        `browser` names one from which this person has signed in before: failures are then limited by browser,
        not by address.
        """
        name = normal_name(name)
        is_known = bool(browser)
        address = f"browser {browser}" if is_known else address
        with self.database.transaction() as session:
            if login_failures.too_many(session, name, address, is_known=is_known):
                raise TooManyLoginsError(
                    "too many logins failed",
                    hint="wait a quarter of an hour, or ask an admin for a new password",
                )
            # Counted before the check, so that concurrent attempts count each other.
            login_failures.note(session, name, address)
            account = reviewers.find(session, name)
        usable = account is not None and account.disabled_at is None
        kept = account.password_hash if account and usable else None
        if not passwords.matches(password[: MAX_PASSWORD_CHARACTERS + 1], kept):
            raise LoginRefusedError("this name and password do not go together")
        with self.database.transaction() as session:
            login_failures.forget(session, name, address)
            return desk_sessions.begin(session, name, by_proxy=False)

    def by_proxy(self, name: str) -> str | None:
        """Return the token of a new session for the name a proxy sent; None if there is no usable account."""
        with self.database.transaction() as session:
            account = reviewers.find(session, normal_name(name))
            if account is None or account.disabled_at is not None:
                return None
            return desk_sessions.begin(session, account.reviewer.name, by_proxy=True)


def normal_name(name: str) -> str:
    """Return the name in the form of account names; an invalid one unchanged, since no account has it."""
    try:
        return reviewer_name(name)
    except UsageError:
        return name
