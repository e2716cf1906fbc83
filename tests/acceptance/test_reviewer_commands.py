"""`moderate reviewer`: accounts made, changed and shut by an admin at the terminal."""

import io

import pytest

from worker.store.accounts import desk_sessions, passwords, reviewers
from worker.store.engine.database import Database

PASSWORD = "correct horse battery"


@pytest.fixture
def reviewer(moderate, monkeypatch):
    """Return the command; `typed` is what it reads from standard input."""
    moderate("db", "upgrade")

    def run(*arguments, typed=PASSWORD):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
        return moderate("reviewer", *arguments)

    return run


def account(sqlite_url, name):
    database = Database.connect(sqlite_url)
    with database.reading() as session:
        found = reviewers.find(session, name)
    database.dispose()
    return found


def test_an_account_is_made_with_a_password_from_standard_input(reviewer, sqlite_url):
    made = reviewer("add", "Ada", "--role", "lead", "--opt-out", "gore, weapons", "--severe-per-day", "40")
    assert (made.exit_code, made.out) == (0, "ada may sign in to the review desk as lead\n")
    kept = account(sqlite_url, "ada")
    assert kept.password_hash.startswith("$argon2id$")
    assert passwords.matches(PASSWORD, kept.password_hash)
    assert PASSWORD not in made.out + made.err
    listed = reviewer("list").out
    assert all(word in listed for word in ("ada", "lead", "gore, weapons", "40", "password"))
    assert "argon2" not in listed
    assert reviewer("add", "eve@example.com", "--sso").exit_code == 0
    assert account(sqlite_url, "eve@example.com").password_hash is None


def test_what_cannot_be_an_account_is_refused_in_words(reviewer):
    for arguments, typed, said in (
        (("add", "a b"), PASSWORD, "'a b' is not the name of a reviewer"),
        (("add", "ada"), "short", "a password has 12 to 256 characters, not 5"),
        (("add", "ada"), "", "not 0"),
        (("add", "ada", "--severe-per-day", "many"), PASSWORD, "'many' is not a number of pictures"),
        (("password", "nobody"), PASSWORD, "there is no reviewer 'nobody'"),
        (("disable", "nobody"), PASSWORD, "moderate reviewer list"),
    ):
        result = reviewer(*arguments, typed=typed)
        assert (result.exit_code, said in result.err) == (2, True), result.err
    reviewer("add", "ada")
    twice = reviewer("add", "ADA")
    assert (twice.exit_code, "there is a reviewer 'ada' already" in twice.err) == (2, True)
    assert reviewer("set", "ada").exit_code == 2


def test_a_new_password_and_a_disabled_account_end_every_session(reviewer, sqlite_url):
    reviewer("add", "ada")
    database = Database.connect(sqlite_url)

    def begin():
        with database.transaction() as session:
            return desk_sessions.begin(session, "ada", by_proxy=False)

    def holds(token):
        with database.reading() as session:
            return desk_sessions.find(session, token) is not None

    token = begin()
    assert holds(token)
    assert reviewer("password", "ada", typed="another long password").exit_code == 0
    assert not holds(token)
    token = begin()
    assert reviewer("disable", "ada").exit_code == 0
    assert not holds(token)
    assert reviewer("enable", "ada").exit_code == 0
    assert holds(begin())
    database.dispose()


def test_what_a_person_may_do_and_is_shown_can_be_changed(reviewer, sqlite_url):
    reviewer("add", "ada", "--opt-out", "gore", "--severe-per-day", "5")
    assert (
        reviewer("set", "ada", "--role", "admin", "--opt-out", "none", "--severe-per-day", "none").exit_code
        == 0
    )
    changed = account(sqlite_url, "ada").reviewer
    assert (changed.role.value, changed.opt_outs, changed.severe_per_day) == ("admin", frozenset(), None)


def test_without_tables_it_says_what_to_do(moderate):
    result = moderate("reviewer", "list")
    assert (result.exit_code, "moderate db upgrade" in result.err) == (3, True)
