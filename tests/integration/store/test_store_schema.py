"""Bringing a database to this version, and noticing where it is not."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from support.store_records import record, submission

from worker.errors import DatabaseUnavailableError, SchemaError
from worker.store.engine.database import Database
from worker.store.engine.tables import Row
from worker.store.upgrade import schema

UPGRADE_HERE = """
import sys
from worker.store.engine import database
from worker.store.upgrade import schema
schema.upgrade(database.Database.connect(sys.argv[1]))
"""


def problem_of(database: Database) -> SchemaError:
    with pytest.raises(SchemaError) as caught:
        schema.check(database)
    assert "\n" not in caught.value.message
    return caught.value


def set_revision(database: Database, revision: str) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_upgrade_makes_every_table_and_check_is_content(empty_database):
    schema.upgrade(empty_database)
    schema.check(empty_database)
    with empty_database.reading() as session:
        assert set(inspect(session.connection()).get_table_names()) >= set(Row.metadata.tables)


def test_upgrade_twice_keeps_what_is_there(database):
    decision_id = record(database, submission())
    schema.upgrade(database)
    schema.check(database)
    assert decision_id is not None
    assert record(database, submission()) is None


def test_upgrade_makes_the_folder_of_a_file(tmp_path: Path):
    database = Database.connect(f"sqlite:///{tmp_path}/var/deep/moderation.db")
    schema.upgrade(database)
    schema.check(database)
    database.dispose()


def test_upgrade_in_four_processes_at_once_is_one_upgrade(database_url):
    processes = [
        subprocess.Popen([sys.executable, "-c", UPGRADE_HERE, database_url], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    errors = [process.communicate()[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    database = Database.connect(database_url)
    schema.check(database)
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
    database.dispose()


def test_upgrade_leaves_another_programs_tables_alone(empty_database):
    with empty_database.transaction() as session:
        session.execute(text("CREATE TABLE reviews (stars INTEGER)"))
    with pytest.raises(SchemaError, match="another program's tables are in the way: reviews") as caught:
        schema.upgrade(empty_database)
    assert caught.value.hint == "give the service a separate database"
    with empty_database.reading() as session:
        assert inspect(session.connection()).get_table_names() == ["reviews"]


def test_upgrade_says_where_another_program_keeps_its_revision(empty_database):
    with empty_database.transaction() as session:
        session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        session.execute(text("INSERT INTO alembic_version VALUES ('ae1027a6acf')"))
    with pytest.raises(SchemaError, match=r"these tables are missing: .*decisions, ") as caught:
        schema.upgrade(empty_database)
    assert "let MODERATION_DATABASE_URL name another" in caught.value.hint


def test_check_names_the_command_where_there_are_no_tables(empty_database):
    error = problem_of(empty_database)
    assert error.message == f"{empty_database.describe}: no tables"
    assert error.hint == "run `moderate db upgrade`"


def test_check_names_a_missing_file_and_does_not_make_it(sqlite_url):
    database = Database.connect(sqlite_url)
    error = problem_of(database)
    assert error.message == f"{database.describe}: there is no such file"
    assert error.hint == "run `moderate db upgrade`"
    assert not database.address.file.exists()


def test_check_tolerates_a_newer_schema_and_upgrade_leaves_it_alone(database):
    set_revision(database, "9999")
    schema.check(database)
    schema.upgrade(database)
    with database.reading() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_check_lists_tables_that_are_missing_in_spite_of_the_revision(database):
    with database.transaction() as session:
        session.execute(text("DROP TABLE outbox"))
        session.execute(text("DROP TABLE embeddings"))
    error = problem_of(database)
    assert error.message.endswith(": these tables are missing: embeddings, outbox")
    assert "backup" in error.hint


def test_check_says_where_the_server_is_away():
    with pytest.raises(DatabaseUnavailableError, match=r"^PostgreSQL 127\.0\.0\.1:1/x: connection failed"):
        schema.check(Database.connect("postgresql://worker@127.0.0.1:1/x"))


@pytest.mark.parametrize("act", [schema.check, schema.upgrade])
def test_a_file_that_is_something_else_is_not_overwritten(tmp_path: Path, act):
    file = tmp_path / "notes.txt"
    file.write_text("Dear diary, " * 100)
    database = Database.connect(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnavailableError, match="file is not a database"):
        act(database)
    assert file.read_text() == "Dear diary, " * 100
    database.dispose()


def test_upgrade_says_where_no_folder_can_be_made(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnavailableError, match="cannot be created: ") as caught:
        schema.upgrade(Database.connect(f"sqlite:///{tmp_path}/file/moderation.db"))
    assert "in a folder that this user can write" in caught.value.hint
