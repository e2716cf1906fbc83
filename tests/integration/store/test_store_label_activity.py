"""What labels do is added up by the hour, by several workers at once, and kept for a limited time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
from sqlalchemy import update
from support.statements import statements
from support.store_records import ALLOW, POLICY, REVIEW

from worker.domain.operations.label_activity import COLUMNS, Activity
from worker.store.engine.clock import database_now
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import LabelActivityRow
from worker.store.operations import label_activity

DEFAULT = (POLICY.name, POLICY.digest)
OTHER = ("avatars", "e" * 64)


def counted(*decisions):
    activity = Activity()
    for decision in decisions:
        activity.count(decision)
    return activity


def add(database, counts):
    with database.transaction() as session:
        label_activity.add(session, counts)


def recent(database, **back):
    with database.reading() as session:
        return label_activity.since(session, database_now(session) - timedelta(**back or {"days": 1}))


def total(hours):
    activity = Activity()
    for hour in hours:
        activity.add(hour.activity)
    return values(activity)


def values(activity):
    return activity.uploads, {label: activity.counts[row].tolist() for label, row in activity.rows.items()}


def test_counts_of_an_hour_are_added_up_by_version(database):
    add(database, {DEFAULT: counted(REVIEW, ALLOW), OTHER: counted(ALLOW)})
    add(database, {DEFAULT: counted(ALLOW)})
    add(database, {})
    found = recent(database)
    ours = [hour for hour in found if hour.version == POLICY.digest]
    assert total(ours) == values(counted(REVIEW, ALLOW, ALLOW))
    assert {hour.policy for hour in ours} == {"default"}
    assert total([hour for hour in found if hour.policy == "avatars"]) == values(counted(ALLOW))
    assert all((hour.at.minute, hour.at.second, hour.at.microsecond) == (0, 0, 0) for hour in found)


def test_nothing_is_lost_and_nothing_deadlocks_if_workers_add_at_once(database):
    counts = [
        {DEFAULT: counted(REVIEW), OTHER: counted(ALLOW)},
        {OTHER: counted(ALLOW), DEFAULT: counted(ALLOW)},
    ]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: add(database, counts[n % 2]), range(40)))
    found = recent(database)
    assert sum(hour.activity.uploads for hour in found) == 80
    assert total(found)[1]["weapons"][0] == 20


def test_the_number_of_statements_depends_neither_on_labels_nor_on_uploads(database):
    labels = [f"label {n}" for n in range(1000)]
    large = Activity.of(10_000_000, labels, np.arange(1000 * COLUMNS).reshape(1000, COLUMNS))
    with statements(database) as seen:
        add(database, {DEFAULT: large})
    # The time, the row, its lock, its sum.
    assert len(seen) == 4
    assert total(recent(database)) == values(large)


def test_hours_are_read_by_time_and_forgotten_when_they_are_old(database):
    for days in (15, 13, 0):
        add(database, {DEFAULT: counted(ALLOW)})
        with database.transaction() as session:
            moved = update(LabelActivityRow).where(LabelActivityRow.hour > utc_now() - timedelta(days=1))
            session.execute(
                moved.values(hour=LabelActivityRow.hour if not days else utc_now() - timedelta(days))
            )
    assert [len(recent(database, days=days)) for days in (1, 14, 20)] == [1, 2, 3]
    with database.transaction() as session:
        assert label_activity.is_any_old(session)
        assert label_activity.forget_old(session, limit=10) == 1
        assert not label_activity.is_any_old(session)
    assert len(recent(database, days=20)) == 2
