"""The database behind a real PgBouncer that pools transactions, of every version there is."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from support.pgbouncer import IGNORING_OPTIONS, PgBouncer, pgbouncers, running_pgbouncer
from support.postgres import PostgresServer
from support.store_records import record, submission

from worker.errors import DatabaseUnavailableError
from worker.store.decisions import decisions
from worker.store.engine.database import Database
from worker.store.upgrade import schema

PROGRAMS = pgbouncers()
THREADS = 12
ROUNDS = 25
LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")


@pytest.fixture(params=PROGRAMS.values(), ids=list(PROGRAMS))
def program(request: pytest.FixtureRequest) -> Path | None:
    return request.param


@pytest.fixture(params=[IGNORING_OPTIONS, ""], ids=["ignores options", "refuses options"])
def bouncer(
    request: pytest.FixtureRequest, program: Path | None, postgres_server: PostgresServer
) -> Iterator[PgBouncer]:
    with running_pgbouncer(program, postgres_server.folder, request.param) as server:
        yield server


@pytest.fixture
def pooled(bouncer: PgBouncer, postgres_url: str) -> Iterator[Database]:
    """Yield a database that is reached through PgBouncer alone, its migrations too."""
    schema.upgrade(database := Database.connect(bouncer.in_front_of(postgres_url)))
    yield database
    database.dispose()


def limits_of(database: Database) -> list[str]:
    with database.transaction() as session:
        return [session.scalar(text(f"SHOW {name}")) for name in LIMITS]


@pytest.mark.exhaustive
def test_hundreds_of_decisions_through_a_few_shared_connections_all_succeed(pooled):
    start = threading.Barrier(THREADS)

    def work(thread: int) -> None:
        start.wait(30)
        for n in range(ROUNDS):
            name = f"upload-{thread}-{n}"
            assert record(pooled, submission(name)) is not None
            assert record(pooled, submission(name)) is None
            with pooled.reading() as session:
                assert len(decisions.of_submissions(session, [name])) == 1

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(work, thread) for thread in range(THREADS)]:
            future.result()
    with pooled.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM decisions")) == THREADS * ROUNDS
        assert session.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0


def test_the_time_limits_hold_in_every_transaction(pooled):
    assert limits_of(pooled) == ["10s", "30s", "1min"]
    with pooled.reading() as session:
        assert session.scalar(text("SHOW lock_timeout")) == "10s"


def test_nothing_of_a_transaction_stays_on_the_shared_connection(pooled, postgres_url, program, bouncer):
    with pooled.transaction() as session:
        session.execute(text("SELECT 1"))
    with pooled.reading(unhurried=True) as session:
        session.execute(text("SELECT 1"))
    plain = pooled.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    with plain as connection:
        left = [connection.scalar(text(f"SHOW {name}")) for name in (*LIMITS, "transaction_isolation")]
    assert left == ["0", "0", "0", "read committed"]


@pytest.mark.exhaustive
def test_limits_that_the_operator_named_hold_though_pgbouncer_drops_them(
    program, postgres_server, postgres_url, monkeypatch
):
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=77MB --statement-timeout=7s")
    with running_pgbouncer(program, postgres_server.folder, IGNORING_OPTIONS) as bouncer:
        database = Database.connect(bouncer.in_front_of(postgres_url))
        assert limits_of(database) == ["10s", "7s", "1min"]
        database.dispose()


def test_a_pgbouncer_that_refuses_options_is_named_with_the_way_out(program, postgres_server, postgres_url):
    with running_pgbouncer(program, postgres_server.folder) as bouncer:
        database = Database.connect(f"{bouncer.in_front_of(postgres_url)}?options=-c%20work_mem%3D77MB")
        with pytest.raises(DatabaseUnavailableError, match="unsupported startup parameter") as caught:
            limits_of(database)
        database.dispose()
    assert "ignore_startup_parameters" in caught.value.hint


@pytest.mark.exhaustive
def test_a_pgbouncer_that_was_restarted_is_not_noticed_by_the_next_transaction(pooled, bouncer):
    assert record(pooled, submission("upload-1")) is not None
    bouncer.stop()
    with pytest.raises(DatabaseUnavailableError):
        record(pooled, submission("upload-2"))
    bouncer.start()
    assert record(pooled, submission("upload-2")) is not None


def test_a_query_that_pgbouncer_let_wait_too_long_can_be_tried_again(program, postgres_server, postgres_url):
    settings = f"{IGNORING_OPTIONS}\nquery_wait_timeout = 1"
    with running_pgbouncer(program, postgres_server.folder, settings, pool_size=1) as bouncer:
        schema.upgrade(direct := Database.connect(postgres_url))
        direct.dispose()
        database = Database.connect(bouncer.in_front_of(postgres_url))
        with database.transaction() as other:
            other.execute(text("SELECT 1"))
            with pytest.raises(DatabaseUnavailableError, match="query_wait_timeout"):
                record(database, submission())
        assert record(database, submission()) is not None
        database.dispose()
