"""The archive streamed: each submission once, a chunk at a time, on both databases."""

import gc
import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import numpy as np
import pytest
from sqlalchemy import event, update
from support.store_records import (
    ALLOW,
    EMBEDDING,
    FACTS,
    MODEL_DIGEST,
    OTHER_VERSION,
    POLICY,
    ask_again,
    record,
    submission,
)

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.view import Views
from worker.domain.policies.policy import Action
from worker.store.decisions import embeddings
from worker.store.engine.database import Database
from worker.store.engine.tables import DecisionRow
from worker.store.operations import archive
from worker.store.operations.archive import ArchivedSubmission, Span
from worker.store.reviews import verdicts

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EVERYTHING = Span(LONG_AGO)
UNJUDGED = Decision(Action.REVIEW, "not judged, broken")
ELSEWHERE = replace(POLICY, name="avatars")


def facts(n: int):
    return replace(FACTS, sha256=sha256(b"%d" % n).hexdigest())


def fill(database: Database, count: int) -> None:
    for n in range(count):
        record(database, submission(f"upload-{n:03}"), facts=facts(n))


def read(
    database: Database, span: Span = EVERYTHING, model: str = MODEL_DIGEST
) -> list[archive.ArchiveChunk]:
    with database.reading() as session:
        return list(archive.stream(session, span, model))


def ids(chunks):
    return sorted(submission_id for chunk in chunks for submission_id in chunk.submission_ids)


def test_a_submission_comes_with_all_that_is_known(database):
    before = datetime.now(UTC).timestamp()
    decision_id = record(database, submission())
    (chunk,) = read(database)
    assert (list(chunk.submission_ids), list(chunk.decision_ids)) == (["upload-1"], [decision_id])
    assert (list(chunk.actions), list(chunk.sha256s)) == (["review"], [FACTS.sha256])
    assert before - 1 <= chunk.decided_at[0] <= datetime.now(UTC).timestamp()
    assert chunk.has_verdict.tolist() == [False]
    assert (chunk.undecoded, chunk.of_other_models) == (0, 0)


def test_every_frame_has_its_vector_as_it_was_stored(database):
    fill(database, 3)
    (chunk,) = read(database)
    assert (list(chunk.frames), chunk.views.tolist()) == ([2, 2, 2], [2, 2, 2])
    assert not chunk.partly_seen.any()
    assert chunk.vectors.dtype == np.float16
    np.testing.assert_array_equal(chunk.vectors.astype(np.float32), np.tile(EMBEDDING, (3, 1)))


def test_a_vector_is_known_by_its_view(database):
    facts = replace(FACTS, width=300, height=900, frames=1, parts=3)
    record(database, submission(), facts=facts, embedding=EMBEDDING[[0, 1] * 3])
    (chunk,) = read(database)
    assert chunk.views_of(0) == Views(frames=1, parts=3, pages=2, is_tall=True)


def test_a_picture_seen_on_two_pages_has_two_vectors_a_frame(database):
    record(database, submission("upload-1"))
    with database.transaction() as session:
        seen_twice = replace(FACTS, sha256="b" * 64, frames=1)
        embeddings.keep(session, MODEL_DIGEST, [(seen_twice, EMBEDDING)])
    record(database, submission("upload-2"), facts=seen_twice)
    (chunk,) = read(database)
    assert sorted(zip(chunk.submission_ids, chunk.frames, chunk.views.tolist(), strict=True)) == [
        ("upload-1", 2, 2),
        ("upload-2", 1, 2),
    ]


@pytest.mark.parametrize("policy", [None, "default"])
def test_a_later_decision_is_looked_up_by_its_submission(sqlite_database, policy):
    query = archive._archived(Span(LONG_AGO, policy), MODEL_DIGEST)
    with sqlite_database.reading() as session:
        connection = session.connection()
        written = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {written}")]
    (lookup,) = (step for step in plan if "decisions_1" in step)
    assert "(submission_id=?" in lookup


def test_an_empty_archive_has_no_chunks(database):
    assert read(database) == []
    with database.reading() as session:
        assert archive.count(session, EVERYTHING) == 0


def test_of_several_decisions_the_newest_counts(database):
    record(database, submission())
    ask_again(database, submission(), OTHER_VERSION)
    newest = record(database, submission(), policy=OTHER_VERSION, decision=ALLOW)
    (chunk,) = read(database)
    assert (list(chunk.decision_ids), list(chunk.actions)) == ([newest], ["allow"])


def test_the_newest_under_the_policy_asked_for_counts(database):
    ours = record(database, submission())
    ask_again(database, submission(), ELSEWHERE)
    record(database, submission(), policy=ELSEWHERE, decision=ALLOW)
    (chunk,) = read(database, Span(LONG_AGO, "default"))
    assert list(chunk.decision_ids) == [ours]
    (chunk,) = read(database, Span(LONG_AGO, "avatars"))
    assert list(chunk.actions) == ["allow"]
    assert read(database, Span(LONG_AGO, "posts")) == []


def test_what_was_decided_before_is_left_out(database):
    old = record(database, submission("upload-1"))
    record(database, submission("upload-2"))
    with database.transaction() as session:
        then = datetime.now(UTC) - timedelta(days=40)
        session.execute(update(DecisionRow).where(DecisionRow.id == old).values(created_at=then))
    month = Span(datetime.now(UTC) - timedelta(days=30))
    assert ids(read(database, month)) == ["upload-2"]
    with database.reading() as session:
        assert archive.count(session, month) == 1
    assert ids(read(database)) == ["upload-1", "upload-2"]


def test_what_has_no_vectors_is_counted_by_why(database):
    record(database, submission("upload-1"))
    record(database, submission("upload-2"), decision=UNJUDGED, facts=None)
    (chunk,) = read(database)
    assert (ids([chunk]), chunk.undecoded, chunk.of_other_models) == (["upload-1"], 1, 0)
    (chunk,) = read(database, model="d" * 64)
    assert (ids([chunk]), chunk.undecoded, chunk.of_other_models) == ([], 1, 1)


def test_a_verdict_is_noted(database):
    decision_id = record(database, submission("upload-1"))
    record(database, submission("upload-2"))
    with database.transaction() as session:
        verdict = verdicts.Verdict("upload-1", Action.ALLOW, frozenset())
        verdicts.record(session, verdict, decision_id=decision_id, reviewer="ada")
        verdicts.record(session, verdict, decision_id=decision_id, reviewer="bob")
    (chunk,) = read(database)
    assert dict(zip(chunk.submission_ids, chunk.has_verdict, strict=True)) == {
        "upload-1": True,
        "upload-2": False,
    }


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_chunks_of_any_size_hold_everything_once(sqlite_database, monkeypatch, size):
    monkeypatch.setattr(archive, "CHUNK", size)
    fill(sqlite_database, 7)
    chunks = read(sqlite_database)
    assert ids(chunks) == [f"upload-{n:03}" for n in range(7)]
    assert max(len(chunk.submission_ids) for chunk in chunks) <= size


def test_one_chunk_is_alive_at_a_time_and_one_statement_reads_them_all(database, monkeypatch):
    monkeypatch.setattr(archive, "CHUNK", 2)
    fill(database, 9)
    alive, most, seen, statements = set(), [], [], []

    def take(chunk):
        alive.add(id(chunk))
        weakref.finalize(chunk, alive.discard, id(chunk))
        most.append(len(alive))
        seen.extend(chunk.submission_ids)

    @event.listens_for(database.engine, "before_cursor_execute")
    def _note(_connection, _cursor, statement, *_):
        if "embeddings" in statement:
            statements.append(statement)

    gc.collect()
    with database.reading() as session:
        for _ in map(take, archive.stream(session, EVERYTHING, MODEL_DIGEST)):
            pass
    assert len(seen) == 9
    assert most == [1] * 5
    assert len(statements) == 1


def test_other_statements_may_run_while_the_archive_is_read(database, monkeypatch):
    monkeypatch.setattr(archive, "CHUNK", 2)
    fill(database, 6)
    with database.reading() as session:
        told = [
            archive.find(session, chunk.submission_ids)
            for chunk in archive.stream(session, EVERYTHING, MODEL_DIGEST)
        ]
    assert sorted(key for part in told for key in part) == [f"upload-{n:03}" for n in range(6)]


def test_a_submission_is_told_with_its_reference_and_source(database, monkeypatch):
    monkeypatch.setattr(archive, "CHUNK", 2)
    fill(database, 5)
    with database.reading() as session:
        told = archive.find(session, ["upload-000", "upload-003", "upload-004", "nothing"])
    assert told == {
        name: ArchivedSubmission(name, "post-42", None) for name in ("upload-000", "upload-003", "upload-004")
    }
