"""Recording and reading decisions, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import numpy as np
import pytest
from sqlalchemy import event, func, select, text, update
from sqlalchemy.exc import IntegrityError
from support.store_records import (
    ALCOHOL,
    ALLOW,
    EMBEDDING,
    FACTS,
    MODEL_DIGEST,
    OTHER_VERSION,
    POLICY,
    REVIEW,
    WEAPONS,
    ask_again,
    record,
    submission,
)

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.view import View, Views
from worker.domain.policies.policy import Action
from worker.store.decisions import decision_search, decisions, embeddings
from worker.store.engine.database import Database
from worker.store.engine.tables import (
    DecisionRow,
    EmbeddingRow,
    LabelScoreRow,
    PolicyVersionRow,
    ReviewRow,
    Row,
    SubmissionRow,
)
from worker.store.submissions import outcomes, submissions

THREADS = 8


def count(database: Database, table: type[Row]) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def statements(database: Database) -> list[str]:
    """Return a list that grows with every statement from now on, transactions' own aside."""
    seen = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def _note(_connection, _cursor, statement, *_):
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    return seen


def test_a_decision_comes_back_as_it_was_written(database):
    before = datetime.now(UTC)
    decision_id = record(database, submission())
    with database.reading() as session:
        (found,) = decision_search.latest(session, limit=10)
    assert before <= found.created_at <= datetime.now(UTC)
    assert found == decisions.RecordedDecision(
        id=decision_id,
        submission_id="upload-1",
        reference="post-42",
        context=None,
        text="",
        policy="default",
        policy_digest=POLICY.digest,
        model_digest=MODEL_DIGEST,
        action=Action.REVIEW,
        flagged=("weapons",),
        severity=4,
        reason="weapons 0.75",
        held_back=False,
        sha256=FACTS.sha256,
        parts=1,
        area_share=1.0,
        time_share=1.0,
        created_at=found.created_at,
        scores=(WEAPONS, ALCOHOL),
    )


CONTEXT = {"post": 42, "tags": ["ü", None, True, 0.1, -(2**70)], "by": {"\u2028": "'; DROP TABLE decisions"}}


@pytest.mark.parametrize("context", [CONTEXT, {}, None])
def test_a_context_comes_back_as_it_was_given(database, context):
    record(database, replace(submission(), context=context))
    with database.reading() as session:
        (found,) = decision_search.latest(session, limit=10)
        without = session.scalar(select(func.count()).where(SubmissionRow.context.is_(None)))
    assert found.context == context
    assert without == (context is None)


def test_eight_threads_with_one_submission_make_one_decision(database):
    barrier = Barrier(THREADS)

    def deliver(_):
        barrier.wait()
        return record(database, submission())

    with ThreadPoolExecutor(THREADS) as pool:
        ids = [decision_id for decision_id in pool.map(deliver, range(THREADS)) if decision_id is not None]
    assert len(ids) == 1
    assert [count(database, table) for table in (SubmissionRow, DecisionRow, ReviewRow)] == [1, 1, 1]
    assert [count(database, table) for table in (PolicyVersionRow, EmbeddingRow, LabelScoreRow)] == [1, 1, 2]


def test_threads_with_different_submissions_all_write(database):
    with ThreadPoolExecutor(THREADS) as pool:
        ids = list(pool.map(lambda n: record(database, submission(f"upload-{n}")), range(80)))
    assert len(set(ids)) == 80
    assert None not in ids
    assert count(database, DecisionRow) == 80


def test_another_version_of_a_policy_decides_only_if_it_is_asked_to(database):
    first = record(database, submission())
    assert record(database, submission(), policy=OTHER_VERSION, decision=ALLOW) is None
    ask_again(database, submission(), OTHER_VERSION)
    second = record(database, submission(), policy=OTHER_VERSION, decision=ALLOW)
    assert record(database, submission(), policy=OTHER_VERSION) is None
    with database.reading() as session:
        assert decisions.find(session, "upload-1", POLICY.digest) == first
        assert decisions.find(session, "upload-1", OTHER_VERSION.digest) == second
        found = decisions.of_submissions(session, ["upload-1"])
    assert [(d.id, d.action) for d in found] == [(first, Action.REVIEW), (second, Action.ALLOW)]
    assert count(database, SubmissionRow) == 1


def test_what_was_not_decided_is_not_found(database):
    record(database, submission())
    with database.reading() as session:
        assert decisions.find(session, "upload-2", POLICY.digest) is None
        assert decisions.find(session, "upload-1", OTHER_VERSION.digest) is None


def test_latest_is_newest_first_and_limited(database):
    ids = [record(database, submission(f"upload-{n}")) for n in range(4)]
    with database.reading() as session:
        assert [d.id for d in decision_search.latest(session, limit=3)] == ids[:0:-1]


def test_latest_can_be_narrowed_to_an_action_or_a_flagged_label(database):
    review = record(database, submission("upload-1"))
    allow = record(database, submission("upload-2"), decision=ALLOW)
    with database.reading() as session:

        def ids(**filters):
            return [d.id for d in decision_search.latest(session, limit=10, **filters)]

        assert ids(action=Action.ALLOW) == [allow]
        assert ids(label="weapons") == [review]
        assert ids(label="alcohol") == []  # scored on both pictures, flagged on neither
        assert ids(action=Action.ALLOW, label="weapons") == []


def test_decisions_are_counted_by_action(database):
    with database.reading() as session:
        assert decisions.count_by_action(session) == {}
    record(database, submission("upload-1"))
    record(database, submission("upload-2"))
    record(database, submission("upload-3"), decision=ALLOW)
    with database.reading() as session:
        assert decisions.count_by_action(session) == {Action.REVIEW: 2, Action.ALLOW: 1}


def test_a_picture_that_could_not_be_judged_has_no_facts_and_no_scores(database):
    record(database, submission(), decision=Decision(Action.REVIEW, "not judged, broken"), facts=None)
    with database.reading() as session:
        (found,) = decision_search.latest(session, limit=1)
        columns = session.execute(select(DecisionRow.sha256, DecisionRow.width, DecisionRow.frames)).one()
    assert found.scores == ()
    assert found.flagged == ()
    assert columns == (None, None, None)
    assert count(database, EmbeddingRow) == 0


def test_an_embedding_comes_back_to_the_last_bit(database):
    record(database, submission())
    with database.reading() as session:
        stored = embeddings.find(session, FACTS.sha256, MODEL_DIGEST)
        assert embeddings.find(session, FACTS.sha256, "d" * 64) is None
    assert stored.facts == FACTS
    assert stored.embedding.dtype == np.float32
    np.testing.assert_array_equal(stored.embedding, EMBEDDING)


def test_the_first_embedding_of_a_picture_stays(database):
    with database.transaction() as session:
        embeddings.keep(session, MODEL_DIGEST, [(FACTS, EMBEDDING)])
        embeddings.keep(session, MODEL_DIGEST, [(FACTS, -EMBEDDING)])
    with database.reading() as session:
        np.testing.assert_array_equal(
            embeddings.find(session, FACTS.sha256, MODEL_DIGEST).embedding, EMBEDDING
        )


def test_a_picture_that_was_looked_at_on_two_pages_has_two_vectors_a_frame(database):
    one_frame = PictureFacts("c" * 64, "PNG", 1, 1, frames=1)
    with database.transaction() as session:
        embeddings.keep(session, MODEL_DIGEST, [(one_frame, EMBEDDING)])

    with database.reading() as session:
        stored = embeddings.find(session, "c" * 64, MODEL_DIGEST)
    assert stored.facts == one_frame
    np.testing.assert_array_equal(stored.embedding, EMBEDDING)


def test_an_embedding_has_a_vector_for_every_frame(database):
    one_frame = PictureFacts("b" * 64, "PNG", 1, 1, frames=1)
    with (
        database.transaction() as session,
        pytest.raises(ValueError, match="1 frames of 1 parts, but 4 vectors"),
    ):
        embeddings.keep(session, MODEL_DIGEST, [(one_frame, np.concatenate([EMBEDDING, EMBEDDING]))])


def test_a_decision_says_which_view_showed_each_label_and_how_much_was_looked_at(database):
    facts = PictureFacts("d" * 64, "PNG", 300, 900, 2, parts=3, area_share=0.75, time_share=0.5)
    seen = replace(WEAPONS, view=View(1, True, 2, 3, is_tall=True))
    decision = replace(REVIEW, scores=(seen, replace(ALCOHOL, view=View(0, False, 1, 3, is_tall=True))))
    record(database, submission(), decision=decision, facts=facts, embedding=EMBEDDING[[0, 1] * 6])

    with database.reading() as session:
        (recorded,) = decisions.of_submissions(session, ["upload-1"])
        stored = embeddings.find(session, facts.sha256, MODEL_DIGEST)
    assert recorded.scores == decision.scores
    assert (recorded.parts, recorded.area_share, recorded.time_share) == (3, 0.75, 0.5)
    assert stored.facts == facts
    assert stored.views == Views(2, 3, 2, is_tall=True)


def test_a_decision_from_before_views_were_recorded_says_what_is_known(database):
    record(database, submission(), facts=replace(FACTS, width=300, height=900))
    with database.transaction() as session:
        session.execute(update(DecisionRow).values(parts=None, area_share=None, time_share=None))
        session.execute(update(LabelScoreRow).values(on_black=None))
    with database.reading() as session:
        (recorded,) = decisions.of_submissions(session, ["upload-1"])
    assert (recorded.parts, recorded.area_share, recorded.time_share) == (None, None, None)
    assert recorded.scores[0].view == View(frame=1, is_tall=True)


@pytest.mark.parametrize(
    ("other", "is_like"),
    [
        ({}, True),
        ({"width": 900, "height": 300}, True),
        ({"width": 300, "height": 900}, False),
        ({"frames": 3, "parts": 2}, False),
        ({"frames": 6, "parts": 1}, False),
        ({"frames": 1, "parts": 3}, False),
    ],
)
def test_pictures_are_compared_view_by_view_if_they_have_the_same_ones(database, other, is_like):
    facts = PictureFacts("d" * 64, "PNG", 1800, 600, frames=2, parts=3)
    beside = replace(facts, sha256="e" * 64, **other)
    vectors = EMBEDDING[[0, 1] * 3]
    with database.transaction() as session:
        embeddings.keep(session, MODEL_DIGEST, [(facts, vectors), (beside, vectors)])
    with database.reading() as session:
        picture = embeddings.find(session, facts.sha256, MODEL_DIGEST)
        names, found = embeddings.like(session, [beside.sha256], MODEL_DIGEST, picture)
    assert names == [beside.sha256] * is_like
    assert found.shape == (int(is_like), 6, 3)


def test_a_refused_submission_is_listed_until_it_is_decided(database):
    with database.transaction() as session:
        outcomes.refuse(session, "upload-1", "there is no policy 'defualt'")
    with database.transaction() as session:
        outcomes.refuse(session, "upload-2", "unexpected field")
    with database.reading() as session:
        assert submissions.refused(session, 1) == [("upload-2", "unexpected field")]
    record(database, submission("upload-2"))
    with database.reading() as session:
        assert submissions.refused(session, 5) == [("upload-1", "there is no policy 'defualt'")]
        (found,) = decision_search.latest(session, limit=5)
    assert found.reference == "post-42"


def test_a_refusal_does_not_undo_a_decision(database):
    record(database, submission())
    with database.transaction() as session:
        outcomes.refuse(session, "upload-1", "too late")
    with database.reading() as session:
        assert submissions.refused(session, 5) == []
        assert session.get(SubmissionRow, "upload-1").error is None


def test_a_second_refusal_replaces_the_first(database):
    for error in ("first", "second"):
        with database.transaction() as session:
            outcomes.refuse(session, "upload-1", error)
    with database.reading() as session:
        assert submissions.refused(session, 5) == [("upload-1", "second")]


def test_text_that_no_database_can_hold_is_stored_readably(database):
    record(database, submission(), decision=Decision(Action.REVIEW, "no file 'a\0b\ud800'"))
    with database.reading() as session:
        (found,) = decision_search.latest(session, limit=1)
    assert found.reason == "no file 'a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}'"


def test_times_are_aware_and_in_utc_whatever_the_connections_zone(database):
    record(database, submission())
    with database.reading() as session:
        if database.engine.dialect.name == "postgresql":
            session.execute(text("SET TIME ZONE 'Asia/Tokyo'"))
        for column in (SubmissionRow.created_at, DecisionRow.created_at, ReviewRow.created_at):
            moment = session.scalar(select(column))
            assert moment.tzinfo is UTC
            assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_a_time_without_a_zone_is_refused(database):
    row = PolicyVersionRow(digest="d", name="n", text="t", first_seen_at=datetime(2026, 1, 1))  # noqa: DTZ001 - the point
    with pytest.raises(Exception, match="has no time zone"), database.transaction() as session:
        session.add(row)


def test_recording_a_decision_takes_six_statements(database):
    record(database, submission("upload-1"))
    seen = statements(database)
    record(database, submission("upload-2"))
    assert len(seen) == 6, seen


def test_reading_many_decisions_takes_four_statements(database):
    for n in range(5):
        record(database, submission(f"upload-{n}"))
    seen = statements(database)
    with database.reading() as session:
        assert len(decision_search.latest(session, action=Action.REVIEW, label="weapons", limit=5)) == 5
    assert len(seen) == 4, seen


def fail_halfway(database: Database) -> None:
    with database.transaction() as session:
        outcomes.record(
            session,
            [outcomes.DecidedSubmission(submission(), "default", POLICY.digest, sha256=None, source=None)],
        )
        raise RuntimeError("killed")


def test_a_failure_on_the_way_leaves_nothing_behind(database):
    with pytest.raises(RuntimeError, match="killed"):
        fail_halfway(database)
    assert count(database, SubmissionRow) == 0


def test_a_decision_needs_its_submission(database):
    database.dispose()  # a new connection has to insist too, not only the one that migrated
    with pytest.raises(IntegrityError), database.transaction() as session:
        decisions.insert(
            session,
            [
                decisions.NewDecision(
                    submission=submission(),
                    policy=POLICY,
                    decision=REVIEW,
                    model="demo",
                    model_digest=MODEL_DIGEST,
                    facts=None,
                )
            ],
        )[0]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("submissions", "state", "'lost'"),
        ("decisions", "action", "'delete'"),
        ("decisions", "severity", "6"),
        ("label_scores", "score", "1.5"),
        ("reviews", "state", "'asleep'"),
    ],
)
def test_a_value_outside_its_fixed_set_is_refused(database, table, column, value):
    record(database, submission())
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(text(f"UPDATE {table} SET {column} = {value}"))


def test_flagged_labels_are_found_by_their_index(sqlite_database):
    queries = []

    @event.listens_for(sqlite_database.engine, "before_cursor_execute")
    def _note(_connection, _cursor, statement, parameters, *_):
        queries.append((statement, parameters))

    with sqlite_database.reading() as session:
        decision_search.latest(session, label="weapons", limit=5)
        statement, parameters = next((s, p) for s, p in queries if "label_scores" in s)
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert "ix_label_scores_flagged (label=?" in str(plan)
