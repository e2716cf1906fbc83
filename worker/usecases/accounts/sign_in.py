"""Lets a person in at the review desk: by password, or by the word of a single sign-on proxy."""

from dataclasses import dataclass

from worker.domain.accounts.reviewer import MAX_PASSWORD_CHARACTERS, reviewer_name
from worker.errors import PermanentError, UsageError
from worker.store.accounts import desk_sessions, login_failures, passwords, reviewers
from worker.store.engine.database import Database


class LoginRefusedError(PermanentError):
    """Name and password do not go together; why is nobody's business."""

    http_status = 403


class TooManyLoginsError(LoginRefusedError):
    """It was tried too often of late."""

    http_status = 429


@dataclass(frozen=True, slots=True)
class SignIn:
    """Begin sessions."""

    database: Database

    def __call__(self, name: str, password: str, address: str, browser: str = "") -> str:
        """Return the token of a new session; LoginRefusedError, equally slow whatever is wrong.

        `browser` names one from which this person signed in before: it is limited in place of the address.
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
            # Counted before it is tried: tries at the same moment must not see each other too late.
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
        """Return the token of a new session for whom a proxy vouches; None where there is no such account."""
        with self.database.transaction() as session:
            account = reviewers.find(session, normal_name(name))
            if account is None or account.disabled_at is not None:
                return None
            return desk_sessions.begin(session, account.reviewer.name, by_proxy=True)


def normal_name(name: str) -> str:
    """Return the name as an account would have it; what can be none stays, and is found nowhere."""
    try:
        return reviewer_name(name)
    except UsageError:
        return name
