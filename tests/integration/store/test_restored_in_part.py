"""A database that lacks constraints, as after a dump that was restored in part, is not called up to date."""

import pytest
from sqlalchemy import text
from support.store_records import record, submission

from worker.errors import SchemaError
from worker.store.engine.database import Database
from worker.store.upgrade import schema

UNIQUE = "uq_decisions_submission_id_policy_digest"


def run(database: Database, *statements: str) -> None:
    with database.transaction() as session:
        for statement in statements:
            session.execute(text(statement))


def problem_of(database: Database) -> str:
    with pytest.raises(SchemaError) as caught:
        schema.check(database)
    with pytest.raises(SchemaError) as upgrading:
        schema.upgrade(database)
    assert upgrading.value.message == caught.value.message
    assert "\n" not in caught.value.message
    assert "restore the whole of a backup" in caught.value.hint
    return caught.value.message


@pytest.fixture
def postgres(postgres_url):
    schema.upgrade(database := Database.connect(postgres_url))
    yield database
    database.dispose()


@pytest.mark.parametrize(
    ("statement", "lacking"),
    [
        (
            f"ALTER TABLE decisions DROP CONSTRAINT {UNIQUE}",
            "UNIQUE (submission_id, policy_digest) of decisions",
        ),
        ("DROP INDEX uq_reviews_decision_id_kind", "UNIQUE (decision_id, kind) of reviews"),
        (
            "ALTER TABLE submissions DROP CONSTRAINT pk_submissions CASCADE",
            "the primary key (id) of submissions",
        ),
        (
            "ALTER TABLE verdicts DROP CONSTRAINT fk_verdicts_decision_id",
            "the foreign key decision_id -> decisions.id of verdicts",
        ),
        (
            "ALTER TABLE decisions DROP CONSTRAINT ck_decisions_action",
            "CHECK ck_decisions_action of decisions",
        ),
        ("ALTER TABLE decisions ALTER reason DROP NOT NULL", "NOT NULL (reason) of decisions"),
        ("ALTER TABLE submissions ALTER attempts DROP DEFAULT", "the default (attempts) of submissions"),
        ("DROP VIEW review_queue", "the view review_queue"),
        ("ALTER TABLE outbox ALTER id DROP DEFAULT", "the sequence of outbox.id"),
    ],
)
def test_what_postgresql_lacks_is_named(postgres, statement, lacking):
    run(postgres, statement)
    assert lacking in problem_of(postgres)


def test_a_sequence_that_is_behind_is_named(postgres):
    for n in range(3):
        record(postgres, submission(f"upload-{n}"))
    schema.check(postgres)
    run(postgres, "SELECT setval(pg_get_serial_sequence('decisions', 'id'), 1, false)")
    assert "which is behind decisions.id" in problem_of(postgres)


def test_what_sqlite_lacks_is_named(sqlite_database):
    run(sqlite_database, "DROP VIEW current_decisions", "DROP INDEX uq_reviews_decision_id_kind")
    assert problem_of(sqlite_database).endswith(
        "they lack the view current_decisions; UNIQUE (decision_id, kind) of reviews"
    )
    run(
        sqlite_database,
        "CREATE TABLE bare AS SELECT * FROM embeddings",
        "DROP TABLE embeddings",
        "ALTER TABLE bare RENAME TO embeddings",
    )
    assert problem_of(sqlite_database).endswith("more")


def test_a_whole_database_is_content(database):
    record(database, submission())
    schema.check(database)
