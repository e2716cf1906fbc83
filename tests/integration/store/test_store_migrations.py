"""Every migration, up and down, with rows in the tables, on both databases."""

import shutil
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, inspect, select, text
from sqlalchemy.schema import CreateIndex
from support.store_records import record, record_everything, submission

from worker import resources
from worker.errors import SchemaError
from worker.store.decisions import decision_search
from worker.store.engine.database import Database
from worker.store.engine.tables import ReviewRow, Row, SubmissionRow
from worker.store.upgrade import schema

REVISIONS = [
    script.revision for script in ScriptDirectory.from_config(schema.configuration()).walk_revisions()
]
HEAD = REVISIONS[0]


def upgrade_to(database: Database, revision: str) -> None:
    """Apply the migrations up to `revision`, each with its preparation, as `moderate db upgrade` does."""
    while (script := schema._next(database)) and script.revision <= revision:
        schema._apply(database, script)


def take_back(database: Database, revision: str) -> None:
    with database.migrating() as connection:
        command.downgrade(schema.configuration(connection), revision)


def tables_of(database: Database) -> set[str]:
    with database.reading() as session:
        return set(inspect(session.connection()).get_table_names())


def form_of(database: Database) -> dict[str, set[str]]:
    """Return the names of the columns and indexes of each table."""
    with database.reading() as session:
        inspector = inspect(session.connection())
        return {
            table: {one["name"] for one in (*inspector.get_columns(table), *inspector.get_indexes(table))}
            for table in inspector.get_table_names()
        }


def row_counts(database: Database) -> dict[str, int]:
    with database.reading() as session:
        return {
            name: session.scalar(select(func.count()).select_from(table))
            for name, table in Row.metadata.tables.items()
        }


def test_the_migrations_end_at_the_tables_of_the_code(database):
    plugins = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"]
    with database.reading() as session:
        options = {"autogenerate_plugins": plugins, "include_object": is_comparable}
        context = MigrationContext.configure(session.connection(), opts=options)
        assert compare_metadata(context, Row.metadata) == []


def is_comparable(thing, name, kind, _reflected, _compared):
    """Whether Alembic can compare it: of SQLite's indexes it does not see which way they are ordered."""
    return not (kind == "index" and name.startswith("ix_reviews_order"))


def test_the_queue_is_indexed_in_the_order_in_which_reviews_are_handed_out(database):
    expected = {
        "ix_reviews_order": "(state, priority DESC, id)",
        "ix_reviews_order_in_queue": "(queue, state, priority DESC, id)",
        "ix_reviews_order_of_kind": "(kind, state, priority DESC, id)",
    }
    declared = {
        index.name: str(CreateIndex(index).compile(database.engine)).partition("reviews (")[2]
        for index in ReviewRow.__table__.indexes  # type: ignore[attr-defined]
        if index.name in expected
    }
    is_sqlite = database.address.file is not None
    query = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index'"
        if is_sqlite
        else "SELECT indexname, indexdef FROM pg_indexes"
    )
    with database.reading() as session:
        there = {name: sql for name, sql in session.execute(text(query)) if name in expected}
    assert {name: f"({columns}" for name, columns in declared.items()} == expected
    assert {name: sql[sql.index("(") :] for name, sql in there.items()} == expected


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_migration_can_be_taken_back_and_made_again(empty_database, revision):
    upgrade_to(empty_database, revision)
    before = form_of(empty_database)
    take_back(empty_database, "-1")
    assert form_of(empty_database) != before
    upgrade_to(empty_database, revision)
    assert form_of(empty_database) == before


def test_all_migrations_can_be_taken_back_with_rows_in_every_table(database):
    record_everything(database)
    assert 0 not in row_counts(database).values()
    take_back(database, "base")
    assert tables_of(database) <= {"alembic_version", "sqlite_sequence"}
    schema.upgrade(database)
    assert record(database, submission()) is not None


def test_what_was_recorded_before_there_were_contexts_has_none(empty_database):
    upgrade_to(empty_database, "0002")
    with empty_database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO submissions (id, reference, state, created_at, updated_at)"
                " VALUES ('upload-1', '', 'refused', '2026-07-01 12:00:00', '2026-07-01 12:00:00')"
            )
        )
    schema.upgrade(empty_database)
    with empty_database.reading() as session:
        assert session.scalars(select(SubmissionRow.context)).all() == [None]


@pytest.fixture
def next_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Begin a migration after the last of ours, as a developer would; it is in force for this test."""
    folder = tmp_path / "migrations"
    shutil.copytree(resources.folder("migrations"), folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(schema, "folder", lambda _: folder)
    script = command.revision(schema.configuration(), "make wine dearer", rev_id="9000")
    return Path(script.path)


def test_the_template_gives_a_migration_that_states_the_rule_and_runs(database, next_revision):
    text = next_revision.read_text()
    assert text.startswith('"""Make wine dearer.\n')
    assert "may only expand" in text
    assert f'down_revision = "{HEAD}"' in text
    schema.upgrade(database)
    schema.check(database)


def test_check_names_both_revisions_where_the_tables_are_older(database, next_revision):
    assert next_revision.exists()
    with pytest.raises(
        SchemaError, match=f"the tables are at revision {HEAD}, this version needs 9000"
    ) as caught:
        schema.check(database)
    assert caught.value.hint == "run `moderate db upgrade`"


def test_a_migration_that_fails_leaves_the_database_as_it_was(database, next_revision):
    before = tables_of(database)
    change = 'op.create_table("wines", sa.Column("id", sa.Integer))\n    raise ValueError("corked")'
    next_revision.write_text(next_revision.read_text().replace("    pass", f"    {change}", 1))
    with pytest.raises(ValueError, match="corked"):
        schema.upgrade(database)
    assert tables_of(database) == before


def test_a_table_that_others_refer_to_can_be_rebuilt_without_losing_a_row(database, next_revision):
    record(database, submission())
    before = row_counts(database)
    change = (
        'with op.batch_alter_table("decisions", recreate="auto") as table:\n'
        '        table.alter_column("model", server_default="demo")'
    )
    next_revision.write_text(next_revision.read_text().replace("    pass", f"    {change}", 1))
    schema.upgrade(database)
    with database.reading() as session:
        columns = inspect(session.connection()).get_columns("decisions")
        assert {column["name"] for column in columns if column["default"]} >= {"model"}
        assert [len(decision.scores) for decision in decision_search.latest(session, limit=5)] == [2]
    assert row_counts(database) == before
