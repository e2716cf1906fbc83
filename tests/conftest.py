"""Databases for tests: real ones, fresh for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres import PostgresServer, running_postgres

from worker.store import schema
from worker.store.database import Database


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
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


@pytest.fixture
def database(empty_database: Database) -> Database:
    """Return a database with its tables, once of each kind."""
    schema.upgrade(empty_database)
    return empty_database


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """Yield a SQLite database with its tables, where the kind does not matter."""
    database = Database.connect(sqlite_url)
    schema.upgrade(database)
    yield database
    database.dispose()
