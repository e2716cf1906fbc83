"""What goes wrong in the database is said without the values: signed queries, hashes, secrets."""

import logging
import traceback

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, StatementError

from worker.errors import DatabaseUnavailableError
from worker.observability.logs import DiscreetRecord
from worker.store.engine.database import Database
from worker.store.engine.tables import ReviewerRow, SubmissionRow

SECRET = "5ec7e7-signature"
REVIEWER = {"name": "ada", "role": "reviewer", "opt_outs": [], "password_hash": f"$argon2id$v=19${SECRET}"}
SUBMISSION = {"id": "upload-1", "reference": "", "state": "accepted", "pending_source": {"url": SECRET}}


def failure_of(database: Database, work) -> Exception:
    kinds = (DBAPIError, StatementError, DatabaseUnavailableError)
    with pytest.raises(kinds) as caught, database.transaction() as session:
        work(session)
    return caught.value


def add(table, **values):
    """Return what inserts a row."""
    return lambda session: session.execute(table.__table__.insert(), [values])


@pytest.mark.parametrize(
    "work",
    [
        add(ReviewerRow, **REVIEWER | {"role": "emperor"}),  # "Failing row contains (...)"
        add(ReviewerRow, **REVIEWER | {"severe_per_day": -1}),
        add(ReviewerRow, **REVIEWER | {"opt_outs": None}),
        add(SubmissionRow, **SUBMISSION | {"state": "eaten"}),
        add(SubmissionRow, **SUBMISSION | {"reference": None}),
        add(SubmissionRow, **SUBMISSION | {"publish_at": SECRET}),
        lambda session: [add(SubmissionRow, **SUBMISSION | {"id": SECRET})(session) for _ in range(2)],
        lambda session: session.execute(text("INSERT INTO nowhere VALUES (:it)"), {"it": SECRET}),
        lambda session: session.execute(
            text("INSERT INTO verdicts (submission_id) VALUES (:it)"), {"it": SECRET}
        ),
    ],
)
def test_a_failure_shows_no_value(database, work):
    error = failure_of(database, work)
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error)
    assert SECRET not in shown
    assert "DETAIL" not in shown


def test_the_code_of_a_failure_is_still_known(postgres_url):
    database = Database.connect(postgres_url)
    error = failure_of(database, lambda session: session.execute(text("SELECT 1/0")))
    assert "division by zero" in str(error)
    assert error.orig.sqlstate == "22012"  # type: ignore[attr-defined]
    database.dispose()


@pytest.mark.parametrize(
    "line",
    [
        f"redis://worker:{SECRET}@redis:6379/0 is away",
        f"postgresql://worker:{SECRET}@db/name",
        f"hash $argon2id$v=19$m=65536,t=3,p=4${SECRET}",
        f"signed with whsec_{SECRET}",
        f"https://cdn.example.com/cat.jpg?signature={SECRET}",
    ],
)
def test_a_log_line_shows_no_secret_whoever_writes_it(line):
    record = DiscreetRecord("somebody.else", logging.INFO, __file__, 1, "%s", (line,), None)
    assert SECRET not in record.getMessage()
