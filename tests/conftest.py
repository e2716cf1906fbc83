"""What tests share: real databases, fresh for every test, a real Redis, and the command `moderate`."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import make_url, text
from support.commands import Moderate
from support.postgres import PostgresServer, memory, running_postgres
from support.tables import TEMPLATE, make_tables, make_template

from worker.stage.redis_server import running_redis
from worker.store.engine.database import Database
from worker.store.engine.tables import Row

# Test files run side by side, one a processor; torch's threads would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine must not fail a law.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_postgres(memory()) as server:
        # Directly: a PgBouncer that a test puts in front keeps connections, and then nothing can be copied.
        make_template(make_url(server.url("postgres")))
        yield server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'moderation.db'}"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database, once of each kind."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def empty_database(database_url: str) -> Iterator[Database]:
    """Yield a database without tables, once of each kind."""
    database = Database.connect(database_url)
    if database.address.file:
        database.address.file.touch()
    yield database
    database.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Yield a database with its tables, once of each kind."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            database = Database.connect(request.getfixturevalue("sqlite_url"))
            make_tables(database)
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            database = Database.connect(stack.enter_context(server.fresh_database(TEMPLATE)))
        stack.callback(database.dispose)
        yield database


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Yield a database with its tables that a whole file of tests shares, once of each kind."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'moderation.db'}"
        else:
            url = stack.enter_context(request.getfixturevalue("postgres_server").fresh_database())
        database = Database.connect(url)
        stack.callback(database.dispose)
        make_tables(database)
        yield database


@pytest.fixture
def emptied_database(kept_database: Database) -> Database:
    """Return `kept_database` without a row: what many tests need costs them no migrations."""
    with kept_database.transaction() as session:
        if kept_database.address.file is None:
            session.execute(text(f"TRUNCATE {', '.join(Row.metadata.tables)} RESTART IDENTITY"))
            return kept_database
        session.execute(text("PRAGMA defer_foreign_keys = ON"))
        for table in (*Row.metadata.tables, "sqlite_sequence"):
            session.execute(text(f"DELETE FROM {table}"))
    return kept_database


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """Yield a SQLite database with its tables, where the kind does not matter."""
    database = Database.connect(sqlite_url)
    make_tables(database)
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a real Redis; tests keep out of each other's way by the names of their queues."""
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def moderate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, sqlite_url: str
) -> Moderate:
    """Return the command, by default with a database and a media root of its own and no Redis."""
    for name, value in (
        ("DATABASE_URL", sqlite_url),
        ("MEDIA_ROOT", str(tmp_path / "media")),
        ("BROKER_URL", "redis://127.0.0.1:1/0"),
    ):
        monkeypatch.setenv(f"MODERATION_{name}", value)
    return Moderate(monkeypatch, capsys)
