"""Databases that go away, are slow, or give a transaction up: nothing half-written, and the next try works."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest
from sqlalchemy import event, func, select, text
from support.deployment import wait_for
from support.store_records import record, submission

from worker.errors import DatabaseUnavailableError, TransactionGivenUpError
from worker.store.engine.database import Database
from worker.store.engine.tables import SubmissionRow
from worker.store.engine.updating import update_submissions
from worker.store.submissions import outcomes
from worker.store.upgrade import schema


@contextmanager
def opened(url: str, **limits: int):
    """Yield a database with its tables whose connections have these limits, in milliseconds, and no others."""
    options = "%20".join(f"-c%20{name}={value}" for name, value in limits.items())
    schema.upgrade(plain := Database.connect(url))
    plain.dispose()
    database = Database.connect(f"{url}&options={options}")
    yield database
    database.dispose()


@pytest.fixture
def postgres_database(postgres_url):
    schema.upgrade(database := Database.connect(postgres_url))
    yield database
    database.dispose()


def count_submissions(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(SubmissionRow))


def run(database: Database, *statements: str) -> None:
    with database.transaction() as session:
        outcomes.refuse(session, "half-written", "error")
        for statement in statements:
            session.execute(text(statement))


def test_a_server_that_is_away_is_an_error_and_one_that_is_back_is_used(postgres_server, postgres_database):
    assert record(postgres_database, submission("upload-1")) is not None
    with postgres_server.stopped():
        for _ in range(2):
            with pytest.raises(DatabaseUnavailableError) as caught:
                record(postgres_database, submission("upload-2"))
        assert caught.value.hint == "see that the server runs and that MODERATION_DATABASE_URL is right"
    assert record(postgres_database, submission("upload-2")) is not None
    assert count_submissions(postgres_database) == 2


def test_every_connection_can_be_cut_in_mid_transaction(postgres_database):
    others = 8
    ready, cut = threading.Barrier(others + 1), threading.Event()

    def write(n: int) -> bool:
        try:
            with postgres_database.transaction() as session:
                outcomes.refuse(session, f"upload-{n}", "error")
                session.flush()
                ready.wait(30)
                cut.wait(30)
        except DatabaseUnavailableError:
            return False
        return True

    with ThreadPoolExecutor(others) as pool:
        results = pool.map(write, range(others))
        ready.wait(30)
        with postgres_database.reading() as session:
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        cut.set()
        assert list(results) == [False] * others
    assert count_submissions(postgres_database) == 0
    assert record(postgres_database, submission()) is not None


@pytest.mark.parametrize(
    ("limit", "statement", "hint"),
    [
        ("statement_timeout", "SELECT pg_sleep(20)", "too busy"),
        ("lock_timeout", "LOCK TABLE decisions", "another session holds a lock"),
    ],
)
def test_what_takes_too_long_is_given_up_whole(postgres_url, postgres_database, limit, statement, hint):
    with opened(postgres_url, **{limit: 100}) as database, postgres_database.transaction() as other:
        other.execute(text("LOCK TABLE decisions"))
        with pytest.raises(DatabaseUnavailableError) as caught:
            run(database, statement)
        assert hint in caught.value.hint
        assert count_submissions(database) == 0


def test_a_process_that_was_stopped_in_mid_transaction_loses_its_locks(postgres_url, postgres_database):
    def is_there(pid: int) -> bool:
        with postgres_database.reading() as session:
            query = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
            return bool(session.scalar(query, {"pid": pid}))

    def stand_still(database: Database) -> None:
        with database.transaction() as session:
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            outcomes.refuse(session, "half-written", "error")
            session.flush()
            wait_for(lambda: not is_there(pid), what="the server to end the connection")
            session.execute(text("SELECT 1"))

    with opened(postgres_url, idle_in_transaction_session_timeout=100) as database:
        with pytest.raises(DatabaseUnavailableError):
            stand_still(database)
        assert count_submissions(database) == 0


def test_what_a_person_waits_for_and_a_migration_may_take_long(postgres_url):
    with opened(postgres_url, statement_timeout=100) as database:
        with database.reading(unhurried=True) as session:
            session.execute(text("SELECT pg_sleep(0.3)"))
        with database.migrating() as connection:
            connection.execute(text("SELECT pg_sleep(0.3)"))
        with pytest.raises(DatabaseUnavailableError):
            run(database, "SELECT pg_sleep(20)")


def test_an_upgrade_waits_for_another_one_but_not_for_a_table(postgres_url, postgres_database):
    with opened(postgres_url, lock_timeout=100) as database, ThreadPoolExecutor(1) as pool:
        with postgres_database.transaction() as other:
            other.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": schema._UPGRADE_LOCK})
            upgrade = pool.submit(schema.upgrade, database)
            other.execute(text("SELECT pg_sleep(0.5)"))
            assert not upgrade.done()
        assert upgrade.result(30) is None
        with postgres_database.transaction() as other:
            other.execute(text("LOCK TABLE alembic_version"))
            with pytest.raises(DatabaseUnavailableError, match="lock timeout"):
                schema.upgrade(database)


def test_of_two_transactions_in_each_others_way_one_is_given_up_and_can_be_tried_again(postgres_url):
    with opened(postgres_url, deadlock_timeout=100) as database, ThreadPoolExecutor(2) as pool:
        for n in (1, 2):
            record(database, submission(f"upload-{n}"))
        both = threading.Barrier(2)

        def touch(first: int, second: int) -> str:
            update = text("UPDATE submissions SET reference = 'x' WHERE id = :id")
            try:
                with database.transaction() as session:
                    session.execute(update, {"id": f"upload-{first}"})
                    both.wait(30)
                    session.execute(update, {"id": f"upload-{second}"})
            except DatabaseUnavailableError as error:
                return error.hint
            return ""

        hints = sorted(pool.map(touch, (1, 2), (2, 1)))
    assert hints[0] == ""
    assert "try it again" in hints[1]


def test_rows_are_locked_as_python_sorts_ids_whatever_language_the_server_sorts_by(postgres_database):
    # That server's own language is C, for want of others: so the statement has to say it.
    locking = []
    event.listen(
        postgres_database.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: "FOR UPDATE" in statement and locking.append(statement),
    )
    for name in ("B", "a"):
        record(postgres_database, submission(name))

    with postgres_database.transaction() as session:
        assert update_submissions(session, ["a", "B"], reference="x") == {"a", "B"}

    assert locking
    assert all('ORDER BY submissions.id COLLATE "C"' in one for one in locking)


@pytest.mark.parametrize("code", ["40001", "40P01", "53100", "53300", "55P03", "57014", "25006", "57P01"])
def test_what_is_no_fault_of_ours_can_be_tried_again(postgres_database, code):
    with pytest.raises(DatabaseUnavailableError) as caught:
        run(postgres_database, f"DO $$ BEGIN RAISE EXCEPTION 'so be it' USING ERRCODE = '{code}'; END $$")
    assert caught.value.message.endswith("so be it")
    assert isinstance(caught.value, TransactionGivenUpError) == (code in {"40001", "40P01"})
    assert caught.value.hint
    assert count_submissions(postgres_database) == 0


def test_after_a_failover_the_new_server_is_found_without_a_restart(postgres_url, postgres_database):
    name = postgres_database.address.url.database
    operator = partial(run, other := Database.connect(postgres_url))
    operator(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    for _ in range(2):
        postgres_database.dispose()
        with pytest.raises(DatabaseUnavailableError) as caught:
            record(postgres_database, submission())
    assert "read-only replica" in caught.value.hint
    operator(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert record(postgres_database, submission()) is not None
    other.dispose()


def test_a_sqlite_file_that_another_process_holds_for_a_while_is_waited_for(sqlite_database):
    other = sqlite3.connect(sqlite_database.address.file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.5, other.rollback)
    timer.start()
    assert record(sqlite_database, submission()) is not None
    timer.join()
    other.close()


def test_a_full_disk_is_named_and_loses_nothing(sqlite_database):
    with sqlite_database.reading() as session:
        # No page more, on this connection; the pool gives the next transaction the same one.
        session.execute(text("PRAGMA max_page_count = 1"))
    with pytest.raises(DatabaseUnavailableError) as caught, sqlite_database.transaction() as session:
        outcomes.refuse(session, "upload-1", "x" * 10_000_000)
    assert caught.value.message.endswith("database or disk is full")
    assert "make room" in caught.value.hint
    sqlite_database.dispose()
    assert count_submissions(sqlite_database) == 0
    assert record(sqlite_database, submission()) is not None
