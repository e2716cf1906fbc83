"""What is in force where, and what a restart goes back to, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from support.store_records import OTHER_VERSION, POLICY, record, submission

from worker.domain.policies.policy_state import PolicyState
from worker.store.engine.tables import PolicyStateRow, PolicyVersionRow
from worker.store.policies import policy_states, policy_versions

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
GOOD = PolicyState("default", POLICY.digest, shadow=False, in_force_since=NOON)
REFUSED = PolicyState("strict", refused_at=NOON, refusal="strict.yaml:1:1: no\n  hint: yes")


def all_states(database):
    with database.reading() as session:
        return policy_states.all_states(session)


def last_good(database, name="default"):
    with database.reading() as session:
        found = policy_versions.last_good(session, name)
        return found.text if found else None


def put_in_force(database, policy, text_):
    with database.transaction() as session:
        policy_versions.in_force(session, policy, text_)


def test_the_states_of_a_process_come_back_as_they_were_written(database):
    before = datetime.now(UTC)
    with database.transaction() as session:
        policy_states.replace(session, "host:1:a", [GOOD, REFUSED])
    first, second = all_states(database)
    assert (first.process, first.state) == ("host:1:a", GOOD)
    assert (second.process, second.state) == ("host:1:a", REFUSED)
    assert before <= first.seen_at <= datetime.now(UTC)


def test_a_process_replaces_and_withdraws_its_own_states_alone(database):
    with database.transaction() as session:
        policy_states.replace(session, "host:1:a", [GOOD, REFUSED])
        policy_states.replace(session, "host:2:a", [GOOD])
        policy_states.replace(session, "host:1:a", [replace(GOOD, shadow=True)])
    assert [(r.process, r.state.shadow) for r in all_states(database)] == [
        ("host:1:a", True),
        ("host:2:a", False),
    ]
    with database.transaction() as session:
        policy_states.withdraw(session, "host:1:a")
    assert [r.process for r in all_states(database)] == ["host:2:a"]


def test_a_process_that_was_long_silent_is_forgotten(database):
    now = datetime.now(UTC)
    with database.transaction() as session:
        policy_states.replace(session, "host:1:a", [GOOD])
        policy_states.replace(session, "host:2:a", [GOOD])
        session.get(PolicyStateRow, ("host:1:a", "default")).seen_at = now - timedelta(days=2)
    with database.transaction() as session:
        policy_states.forget_silent(session, longer_than=timedelta(days=1))
    assert [r.process for r in all_states(database)] == ["host:2:a"]


def test_the_last_good_version_is_the_one_that_was_last_put_in_force(database):
    assert last_good(database) is None
    put_in_force(database, POLICY, "one")
    put_in_force(database, OTHER_VERSION, "other")
    assert last_good(database) == "other"
    put_in_force(database, POLICY, "one, with another comment")
    assert last_good(database) == "one, with another comment"
    assert last_good(database, "strict") is None


def test_a_version_that_decided_before_this_was_noted_counts_from_when_it_was_first_seen(database):
    put_in_force(database, POLICY, "one")
    with database.transaction() as session:
        session.execute(text("UPDATE policy_versions SET last_in_force_at = first_seen_at"))
    record(database, submission(), policy=OTHER_VERSION)
    assert last_good(database) == "name: default\n"


def test_what_decided_keeps_the_text_it_has_and_putting_it_in_force_brings_it_up_to_date(database):
    record(database, submission())
    put_in_force(database, POLICY, "name: default\nshadow: true\n")
    record(database, submission("upload-2"))
    with database.reading() as session:
        row = session.get(PolicyVersionRow, POLICY.digest)
    assert row.text == "name: default\nshadow: true\n"
    assert row.last_in_force_at >= row.first_seen_at
