"""What shadows would have decided, counted against what was decided, on both databases."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select
from support.store_records import ALLOW, POLICY, REVIEW, record, submission

from worker.domain.policies.policy import Action
from worker.store.decisions import shadow_decisions
from worker.store.engine.tables import ReviewRow, ShadowDecisionRow
from worker.store.policies import policy_versions

STRICT = replace(POLICY, name="strict")
BLOCK = replace(REVIEW, action=Action.BLOCK, reason="weapons 0.97", flagged=("weapons", "alcohol"))
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def beside(database):
    """Record a decision, and what a shadow would have decided beside it."""

    def write(submission_id, decided, would_be, policy=STRICT):
        decision_id = record(database, submission(submission_id), decision=decided)
        with database.transaction() as session:
            policy_versions.keep(session, [(policy, "name: strict\n")])
            for _ in range(2):  # as when a job comes twice
                shadow_decisions.keep(
                    session,
                    [
                        shadow_decisions.ShadowDecision(
                            submission_id=submission_id,
                            decision_id=decision_id,
                            policy=policy,
                            would_be=would_be,
                        )
                    ],
                )

    return write


def test_what_would_be_is_counted_against_what_is(database, beside):
    for n, (decided, would_be) in enumerate(
        [(ALLOW, ALLOW), (ALLOW, BLOCK), (REVIEW, BLOCK), (ALLOW, BLOCK)]
    ):
        beside(f"upload-{n}", decided, would_be)
    with database.reading() as session:
        (version,) = shadow_decisions.versions(session, name=None, since=LONG_AGO)
        assert (version.policy, version.digest, version.jobs) == ("strict", STRICT.digest, 4)
        assert version.first_at <= version.last_at
        assert version.first_at.tzinfo is UTC
        assert shadow_decisions.actions(session, version, LONG_AGO) == {
            (Action.ALLOW, Action.ALLOW): 1,
            (Action.ALLOW, Action.BLOCK): 2,
            (Action.REVIEW, Action.BLOCK): 1,
        }
        assert shadow_decisions.labels(session, version, LONG_AGO) == Counter(weapons=3, alcohol=3)
        newest, *others = shadow_decisions.differences(session, version, LONG_AGO, limit=2)
    assert (newest.submission_id, newest.reference, newest.decided_by) == ("upload-3", "post-42", "default")
    assert (newest.decided, newest.would_be, newest.reason) == (Action.ALLOW, Action.BLOCK, "weapons 0.97")
    assert [found.submission_id for found in others] == ["upload-2"]


def test_each_version_is_told_apart_the_latest_first(database, beside):
    other = replace(STRICT, background=("a person",))
    beside("upload-1", ALLOW, ALLOW)
    beside("upload-2", ALLOW, ALLOW, policy=other)
    beside("upload-3", ALLOW, ALLOW, policy=replace(POLICY, name="kind"))
    with database.reading() as session:
        found = shadow_decisions.versions(session, name=None, since=LONG_AGO)
        assert [v.digest for v in found[1:]] == [other.digest, STRICT.digest]
        assert [v.policy for v in shadow_decisions.versions(session, name="kind", since=LONG_AGO)] == ["kind"]
        assert shadow_decisions.names(session) == ["kind", "strict"]


def test_only_what_happened_since_then_counts(database, beside):
    beside("upload-1", ALLOW, BLOCK)
    beside("upload-2", ALLOW, BLOCK)
    with database.transaction() as session:
        session.scalars(select(ShadowDecisionRow)).first().created_at = LONG_AGO
    since = datetime.now(UTC) - timedelta(days=1)
    with database.reading() as session:
        (version,) = shadow_decisions.versions(session, name="strict", since=since)
        assert version.jobs == 1
        assert sum(shadow_decisions.actions(session, version, since).values()) == 1
        assert shadow_decisions.labels(session, version, since)["weapons"] == 1
        assert len(shadow_decisions.differences(session, version, since, limit=10)) == 1


def test_a_shadow_opens_no_review(database, beside):
    beside("upload-1", ALLOW, REVIEW)
    with database.reading() as session:
        assert session.scalars(select(ReviewRow)).all() == []


def test_reports_find_their_rows_by_the_index(sqlite_database):
    queries = []

    @event.listens_for(sqlite_database.engine, "before_cursor_execute")
    def _note(_connection, _cursor, statement, parameters, *_):
        queries.append((statement, parameters))

    version = shadow_decisions.ShadowVersion("strict", STRICT.digest, 1, LONG_AGO, LONG_AGO)
    with sqlite_database.reading() as session:
        shadow_decisions.labels(session, version, LONG_AGO)
        statement, parameters = next((s, p) for s, p in queries if "shadow_decisions" in s)
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert "policy_created_at (policy=? AND created_at>?)" in str(plan) or "policy_digest" in str(plan)
