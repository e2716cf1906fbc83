"""Migrations wait for locks briefly, leave nothing half-done, and are continued where they were interrupted."""

import shutil
import threading
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import event, inspect, text
from support.store_records import record, submission

from worker import resources
from worker.errors import DatabaseUnavailableError
from worker.store.engine.database import Database
from worker.store.upgrade import migration_steps, schema

ADD_COLUMN = 'op.add_column("submissions", sa.Column("grape", sa.Text))\n    op.execute("SELECT 1")'
INDEX = """
def prepare(steps):
    steps.create_index("ix_submissions_grape", "submissions", "reference, id", where="state = 'decided'")
"""
BACKFILL = """
def prepare(steps):
    steps.in_batches(
        "UPDATE submissions SET error = 'filled' WHERE id IN "
        "(SELECT id FROM submissions WHERE error IS NULL ORDER BY id LIMIT :rows)"
    )
"""


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(migration_steps, "PAUSES", (0.1, 0.1))
    monkeypatch.setattr(migration_steps, "INDEX_WAIT_SECONDS", 0.5)
    monkeypatch.setattr("worker.store.engine.database.MIGRATION_LOCK_TIMEOUT", "200ms")


@pytest.fixture
def next_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that adds a migration after the last of ours, in force for this test."""
    folder = tmp_path / "migrations"
    shutil.copytree(resources.folder("migrations"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(schema, "folder", lambda _: folder)

    def add(name: str, change: str = "pass", beside: str = "") -> None:
        script = Path(command.revision(schema.configuration(), name, rev_id=name).path)
        script.write_text(script.read_text().replace("    pass", f"    {change}", 1) + beside)

    return add


@pytest.fixture
def postgres(postgres_url):
    schema.upgrade(database := Database.connect(postgres_url))
    yield database
    database.dispose()


def columns(database: Database) -> set[str]:
    with database.reading() as session:
        return {one["name"] for one in inspect(session.connection()).get_columns("submissions")}


def indexes(database: Database) -> set[str]:
    with database.reading() as session:
        return {one["name"] for one in inspect(session.connection()).get_indexes("submissions")}


def revision(database: Database) -> str:
    with database.reading() as session:
        return schema.revision(session)


def test_a_session_that_keeps_a_lock_makes_the_upgrade_give_up_whole(postgres, next_revision, impatient):
    next_revision("9000", "op.execute('CREATE TABLE wines (id INTEGER)')")
    next_revision("9001", "op.execute('CREATE TABLE corks (id INTEGER)')\n    " + ADD_COLUMN)
    with postgres.transaction() as other:
        other.execute(text("LOCK TABLE submissions IN ACCESS SHARE MODE"))
        pid = other.scalar(text("SELECT pg_backend_pid()"))
        with pytest.raises(DatabaseUnavailableError) as caught:
            schema.upgrade(postgres)
    assert "migration 9001 was given up after 3 tries" in caught.value.message
    assert f"session {pid}" in caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    assert revision(postgres) == "9000", (
        "what was done whole stays, and the next upgrade continues from there"
    )
    with postgres.reading() as session:
        assert not {"corks"} & set(inspect(session.connection()).get_table_names())
    schema.upgrade(postgres)
    assert revision(postgres) == "9001"
    assert "grape" in columns(postgres)


def test_workers_proceed_between_the_tries_of_an_upgrade(postgres, next_revision, impatient, monkeypatch):
    monkeypatch.setattr(migration_steps, "PAUSES", (0.2,) * 100)
    next_revision("9000", ADD_COLUMN)
    upgrading = threading.Thread(target=schema.upgrade, args=[postgres])
    with postgres.transaction() as other:
        other.execute(text("LOCK TABLE submissions IN ACCESS SHARE MODE"))
        upgrading.start()
        for n in range(10):
            assert record(postgres, submission(f"upload-{n}")) is not None
        assert upgrading.is_alive()
    upgrading.join()
    assert revision(postgres) == "9000"


def test_an_index_is_built_while_others_write(postgres, next_revision):
    next_revision("9000", beside=INDEX)
    seen: list[str] = []
    event.listen(postgres.engine, "before_cursor_execute", lambda *call: seen.append(call[2]))
    schema.upgrade(postgres)
    assert "ix_submissions_grape" in indexes(postgres)
    assert [one for one in seen if one.startswith("CREATE INDEX")] == [
        "CREATE INDEX CONCURRENTLY ix_submissions_grape ON submissions (reference, id) WHERE state = 'decided'"
    ]


def test_an_index_that_waits_in_vain_is_given_up_and_made_by_the_next_upgrade(
    postgres, next_revision, impatient
):
    next_revision("9000", beside=INDEX)
    with postgres.transaction() as other:
        other.execute(text("LOCK TABLE submissions IN ROW EXCLUSIVE MODE"))
        with pytest.raises(
            DatabaseUnavailableError, match="index ix_submissions_grape was given up"
        ) as caught:
            schema.upgrade(postgres)
        assert "oldest open transaction" in caught.value.hint
        assert record(postgres, submission()) is not None, "the table is not locked meanwhile"
    assert revision(postgres) != "9000"
    schema.upgrade(postgres)
    with postgres.reading() as session:
        valid = text("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_submissions_grape'::regclass")
        assert session.scalar(valid) is True


def test_an_index_is_made_on_both_databases_and_once(database, next_revision):
    next_revision("9000", beside=INDEX)
    steps = migration_steps.Steps(database)
    steps.create_index("ix_submissions_grape", "submissions", "reference, id")
    schema.upgrade(database)
    assert "ix_submissions_grape" in indexes(database)


def test_a_backfill_is_many_small_transactions_and_goes_on_where_it_stopped(
    database, next_revision, monkeypatch
):
    monkeypatch.setattr(migration_steps, "BATCH_ROWS", 2)
    for n in range(5):
        record(database, submission(f"upload-{n}"))
    next_revision("9000", beside=BACKFILL)
    commits: list[int] = []
    filled = text("SELECT count(*) FROM submissions WHERE error = 'filled'")

    def stop(_connection) -> None:
        with database.reading() as session:
            commits.append(session.scalar(filled))
        if commits[-1] == 4:
            raise KeyboardInterrupt

    event.listen(database.engine, "commit", stop)
    with pytest.raises(KeyboardInterrupt):
        schema.upgrade(database)
    event.remove(database.engine, "commit", stop)
    schema.upgrade(database)
    with database.reading() as session:
        assert session.scalar(filled) == 5
    assert {0, 2} <= set(commits)
    assert revision(database) == "9000"
