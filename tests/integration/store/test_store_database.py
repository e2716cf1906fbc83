"""What happens where the database is away, is something else, or is not to be had."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from support.store_records import record, submission

from worker.errors import DatabaseUnavailableError, SettingsError, TransactionGivenUpError
from worker.store.engine.address import Address
from worker.store.engine.database import Database
from worker.store.engine.failures import named_failures
from worker.store.engine.tables import SubmissionRow
from worker.store.submissions import outcomes
from worker.store.upgrade import schema


def failure_of(database: Database) -> DatabaseUnavailableError:
    with pytest.raises(DatabaseUnavailableError) as caught:
        record(database, submission())
    database.dispose()
    return caught.value


def count_submissions(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(SubmissionRow))


@pytest.mark.parametrize(
    ("url", "description"),
    [
        ("sqlite:///var/moderation.db", "SQLite var/moderation.db"),
        ("sqlite:////data/moderation.db?timeout=5", "SQLite /data/moderation.db"),
        ("postgresql://worker:secret@db.internal/moderation", "PostgreSQL db.internal/moderation"),
        ("postgres://worker:secret@db.internal:6432/moderation", "PostgreSQL db.internal:6432/moderation"),
        (
            "postgresql+psycopg://worker@/moderation?host=/run/postgresql",
            "PostgreSQL /run/postgresql/moderation",
        ),
        ("postgresql://worker@/", "PostgreSQL localhost/worker"),
    ],
)
def test_a_database_is_described_without_its_password(url, description):
    assert Database.connect(url).describe == description


def test_a_password_is_for_the_url_of_a_server_that_has_none():
    without, with_one = "postgresql://worker@h/n", "postgresql://worker:own@h/n"
    assert Database.connect(without, "p@ss/word").engine.url.password == "p@ss/word"
    assert Database.connect(without).engine.url.password is None
    assert Database.connect(with_one, "p@ss/word").engine.url.password == "own"
    assert Database.connect("sqlite:///var/moderation.db", "p@ss/word").engine.url.password is None


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("var/moderation.db", "is not a database URL"),
        ("", "is not a database URL"),
        ("postgresql://worker:se/cret@host:x/name", "is not a database URL"),
        ("mysql://worker:secret@host/name", "begins with 'mysql'"),
        ("postgresql+asyncpg://worker:secret@host/name", "begins with 'postgresql+asyncpg'"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite:///file:x.db?uri=true", "name a file"),
        ("sqlite://var/moderation.db", "a slash is missing"),
    ],
)
def test_a_wrong_url_is_refused_with_the_variables_name_and_no_secret(url, complaint):
    with pytest.raises(SettingsError) as caught:
        Database.connect(url)
    assert caught.value.message.startswith("MODERATION_DATABASE_URL ")
    assert complaint in caught.value.message
    assert "sqlite:///var/moderation.db" in caught.value.hint
    assert "cret" not in caught.value.message


def test_an_option_that_does_not_fit_is_a_wrong_setting():
    with pytest.raises(SettingsError, match=r"has an invalid option: .*'soon'"):
        Database.connect("sqlite:///var/moderation.db?timeout=soon")


def test_an_option_that_postgresql_does_not_know_is_named():
    error = failure_of(Database.connect("postgresql://worker@127.0.0.1:1/moderation?sslmod=require"))
    assert "sslmod" in error.message


def test_a_missing_file_is_named_and_not_created(tmp_path: Path):
    file = tmp_path / "missing.db"
    error = failure_of(Database.connect(f"sqlite:///{file}"))
    assert str(file) in error.message
    assert error.hint == "there is no such file: run `moderate db upgrade`"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_something_else_is_named_and_left_alone(tmp_path: Path):
    file = tmp_path / "notes.txt"
    file.write_text("Dear diary, " * 100)
    error = failure_of(Database.connect(f"sqlite:///{file}"))
    assert error.message == f"SQLite {file}: file is not a database"
    assert "let MODERATION_DATABASE_URL name another" in error.hint
    assert file.read_text() == "Dear diary, " * 100


def test_a_folder_is_not_a_database(tmp_path: Path):
    error = failure_of(Database.connect(f"sqlite:///{tmp_path}"))
    assert error.message == f"SQLite {tmp_path}: unable to open database file"
    assert "has to be a file" in error.hint


def test_a_file_that_cannot_be_written_is_named(sqlite_url: str):
    database = Database.connect(sqlite_url)
    schema.upgrade(database)
    database.dispose()
    with database.address.file.open("r+b") as file:
        # A later format's write version makes SQLite read-only; permissions would not stop root.
        file.seek(18)
        file.write(b"\x03")
    error = failure_of(database)
    assert error.message.endswith("attempt to write a readonly database")
    assert "has to be able to write the file" in error.hint


def test_a_locked_file_is_waited_for_then_reported(sqlite_url: str):
    database = Database.connect(f"{sqlite_url}?timeout=0.1")
    schema.upgrade(database)
    with sqlite3.connect(database.address.file) as other:
        other.execute("BEGIN IMMEDIATE")
        error = failure_of(database)
        assert count_submissions(database) == 0  # readers do not wait
        other.rollback()
    other.close()
    assert error.message.endswith("database is locked")
    assert "another process holds the file" in error.hint
    assert record(database, submission()) is not None
    database.dispose()


def test_a_writer_does_not_wait_for_readers(sqlite_url: str):
    database = Database.connect(f"{sqlite_url}?timeout=0.1")
    schema.upgrade(database)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(SubmissionRow)) == 0
        assert record(database, submission()) is not None
        assert (
            session.scalar(select(func.count()).select_from(SubmissionRow)) == 0
        )  # one state for one reading
    assert count_submissions(database) == 1
    database.dispose()


def test_a_file_of_another_journal_mode_is_usable_while_others_use_it(sqlite_url: str):
    database = Database.connect(f"{sqlite_url}?timeout=0.1")
    other = sqlite3.connect(database.address.file, isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("CREATE TABLE notes (id INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM notes")) == 0
    other.close()
    database.dispose()


def test_paths_with_odd_characters_are_the_paths_meant(tmp_path: Path):
    database = Database.connect(f"sqlite:///{tmp_path}/a b%23c#d.db")
    schema.upgrade(database)
    assert record(database, submission()) is not None
    assert database.address.file.is_file()
    database.dispose()


def test_a_server_that_is_not_there_is_named_without_its_password():
    error = failure_of(Database.connect("postgresql://worker:secret@127.0.0.1:1/moderation"))
    assert error.message.startswith("PostgreSQL 127.0.0.1:1/moderation: connection failed")
    assert "secret" not in error.message
    assert "\n" not in error.message
    assert error.hint == "see that the server runs and that MODERATION_DATABASE_URL is right"


def write_until_the_connection_is_lost(database: Database) -> None:
    with database.transaction() as session:
        outcomes.refuse(session, "upload-1", "half-written")
        own = session.scalar(text("SELECT pg_backend_pid()"))
        with database.transaction() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})


def test_a_connection_lost_on_the_way_leaves_nothing_behind_and_the_next_one_works(postgres_url: str):
    database = Database.connect(postgres_url)
    schema.upgrade(database)
    with pytest.raises(DatabaseUnavailableError, match="terminating connection"):
        write_until_the_connection_is_lost(database)
    assert count_submissions(database) == 0
    assert record(database, submission()) is not None
    database.dispose()


def test_a_server_that_restarted_between_two_jobs_is_not_noticed(postgres_url: str):
    database = Database.connect(postgres_url)
    schema.upgrade(database)
    assert record(database, submission("upload-1")) is not None
    other = Database.connect(postgres_url)
    with other.reading() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    other.dispose()
    assert record(database, submission("upload-2")) is not None
    database.dispose()


def test_more_threads_than_connections_wait_their_turn(database: Database):
    with ThreadPoolExecutor(40) as pool:
        counts = list(pool.map(lambda _: count_submissions(database), range(80)))
    assert counts == [0] * 80


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (
            InternalError("SELECT 1", {}, Exception("cut off\nhere"), connection_invalidated=True),
            "PostgreSQL h/n: cut off",
        ),
        (
            PoolTimeoutError("QueuePool limit"),
            "PostgreSQL h/n is too slow: no connection became free in time",
        ),
    ],
)
def test_a_lost_connection_and_a_full_pool_are_failures_that_a_later_try_survives(failure, message):
    with pytest.raises(DatabaseUnavailableError) as caught, named_failures(Address.parse("postgresql://h/n")):
        raise failure
    assert caught.value.message == message
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("57P01", DatabaseUnavailableError),
        ("40P01", TransactionGivenUpError),
        ("58030", TransactionGivenUpError),
        ("54000", OperationalError),
    ],
    ids=["shut down", "deadlock", "a block that cannot be read", "a row that is too large"],
)
def test_what_concerns_some_rows_alone_does_not_make_the_others_wait(code, kind):
    failure = OperationalError("INSERT", {}, psycopg.errors.lookup(code)("it went wrong"))
    with pytest.raises(kind) as caught, named_failures(Address.parse("postgresql://h/n")):
        raise failure
    assert type(caught.value) is kind


def test_tables_that_vanished_are_a_failure_that_a_later_try_survives(database: Database):
    with database.transaction() as session:
        session.execute(text("DROP TABLE embeddings"))
    with pytest.raises(DatabaseUnavailableError) as caught:
        record(database, submission())
    assert "embeddings" in caught.value.message
    assert caught.value.hint == "run `moderate db upgrade`"
    assert count_submissions(database) == 0


def test_what_is_written_while_reading_is_lost(database: Database):
    with database.reading() as session:
        outcomes.refuse(session, "upload-1", "error")
    assert count_submissions(database) == 0


def test_options_in_the_url_join_the_time_limits(postgres_url: str):
    database = Database.connect(f"{postgres_url}&options=-c%20work_mem%3D77MB%20-c%20statement_timeout%3D7s")
    with database.transaction() as session:
        shown = [
            session.scalar(text(f"SHOW {name}"))
            for name in (
                "work_mem",
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
            )
        ]
    database.dispose()
    assert shown == ["77MB", "7s", "10s", "1min"]


def test_a_transaction_costs_one_statement_to_begin(postgres_url: str):
    database = Database.connect(postgres_url)
    seen: list[str] = []
    with database.transaction() as session:
        session.execute(text("SELECT 1"))
    event.listen(database.engine, "before_cursor_execute", lambda *call: seen.append(call[2]))
    with database.transaction() as session:
        session.execute(text("SELECT 1"))
    database.dispose()
    assert [one.partition(";")[0] for one in seen] == ["BEGIN", "SELECT 1"]


def test_all_queries_of_one_reading_see_the_same_state(database: Database):
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(SubmissionRow)) == 0
        record(database, submission())
        assert session.scalar(select(func.count()).select_from(SubmissionRow)) == 0
    assert count_submissions(database) == 1
