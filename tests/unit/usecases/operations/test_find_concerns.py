"""What an operator is told to do, for everything that can be wrong."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from moderation_client.queue_depth import QueueDepth

from worker.domain.operations.backlog import Backlog, PendingCount
from worker.domain.operations.score_drift import DriftKind, LabelReport, PolicyReport, ScoreDrift
from worker.domain.policies.policy_state import PolicyState
from worker.domain.reviews.review import ReviewKind
from worker.errors import BrokerUnavailableError, SchemaError
from worker.store.operations.overview import Happenings, Lately
from worker.store.policies.policy_states import ReportedState
from worker.usecases.operations.find_concerns import find_concerns
from worker.usecases.operations.survey_deployment import Records, Survey

NOW = datetime(2026, 1, 1, 3, tzinfo=UTC)
BACKLOG = Backlog(at=NOW, workers=2)
NOTHING = Lately()
HAPPENINGS = Happenings({}, NOTHING, NOTHING, NOTHING, None)


def report(host, digest="1" * 64, refusal=None):
    return ReportedState(f"{host}:7:x", PolicyState("posts", digest, refusal=refusal), NOW)


def told(depth=None, reports=(), happenings=HAPPENINGS, records=None, **backlog):
    """Return what each concern is and its way out."""
    made = records or Records("0005", replace(BACKLOG, **backlog), happenings, list(reports))
    found = find_concerns(Survey(NOW, depth or QueueDepth(0, 0), made))
    return [(one.what, one.way_out) for one in found]


def test_what_submissions_wait_for_is_named_with_the_reason():
    waiting_for = {"the media root": PendingCount(3, since(minutes=12))}
    records = Records(
        "0005",
        replace(BACKLOG, waiting_for=waiting_for),
        HAPPENINGS,
        [],
        {"the media root": "it is not there"},
    )
    ((what, way_out),) = told(records=records)
    assert what == (
        "the media root is unavailable, 3 submissions waiting for it, the oldest for 12 min: it is not there"
    )
    assert "restore it" in way_out


def since(**ago):
    return NOW - timedelta(**ago)


def test_all_is_well_while_work_goes_on():
    busy = {"undecided": PendingCount(9, since(seconds=20)), "outbox": PendingCount(3, since(minutes=2))}
    open_reviews = {ReviewKind.DECISION: PendingCount(40, since(days=2))}
    assert told(QueueDepth(500, 32), [report("a"), report("b")], reviews=open_reviews, **busy) == []


@pytest.mark.parametrize(
    ("what", "way_out", "situation"),
    [
        (
            "no worker is alive, 7 messages on the queue and 1 submission undecided",
            "start one: moderate worker",
            {"depth": QueueDepth(7, 0), "workers": 0, "undecided": PendingCount(1, since(hours=1))},
        ),
        ("no worker is alive", "start one: moderate worker", {"workers": 0}),
        (
            "workers are alive, but none takes the 7 messages on the queue",
            "MODERATION_QUEUE",
            {"depth": QueueDepth(7, 0)},
        ),
        (
            "2,000 submissions undecided, the oldest for 12 min",
            "moderate status --watch 5",
            {"undecided": PendingCount(2000, since(minutes=12))},
        ),
        (
            "5 submissions due to be published again, but no process does so",
            "MODERATION_SCHEDULE_IN_WORKERS",
            {"undecided": PendingCount(5, since(minutes=1)), "overdue": PendingCount(5, since(seconds=40))},
        ),
        (
            "2 messages set aside, since the ledger cannot take them; the oldest has been failing for 2 min",
            "the workers' logs say why",
            {"set_aside": PendingCount(2, since(minutes=2))},
        ),
        (
            "3 submissions for the policy strict, which is not in force; the oldest waits for 2 min",
            "put a good strict.yaml where the workers read policies: moderate policy status",
            {
                "without_policy": {
                    "strict": PendingCount(3, since(minutes=2)),
                    "new": PendingCount(1, since(seconds=5)),
                }
            },
        ),
        (
            "1 picture in quarantine, since workers died of them",
            "moderate decisions --action review",
            {"reviews": {ReviewKind.QUARANTINE: PendingCount(1, NOW)}},
        ),
        (
            "the saved file of posts is refused, an earlier version decides",
            "moderate policy status",
            {"reports": [report("a", refusal="unknown key")]},
        ),
        (
            "workers disagree about posts",
            "moderate policy status",
            {"reports": [report("a"), report("b", "2" * 64)]},
        ),
        (
            "3 events could not be delivered to the platform",
            "moderate outbox list, then moderate outbox replay",
            {"given_up": 3},
        ),
        (
            "2 events for callbacks that no running process may deliver",
            "MODERATION_WEBHOOK_HOSTS and MODERATION_CALLBACK_TASKS must allow them",
            {"left_to_others": 2},
        ),
        (
            "4 events not delivered to the platform yet, the oldest for 3 h",
            "moderate outbox list",
            {"outbox": PendingCount(4, since(hours=3))},
        ),
        (
            "1 submission came within the hour with the id of another picture",
            "moderate explain upload-7",
            {"happenings": replace(HAPPENINGS, conflicts=Lately(1, 5), newest_conflict="upload-7")},
        ),
        (
            "2 submissions refused within the hour: no policy can decide them",
            "moderate decisions",
            {"happenings": replace(HAPPENINGS, refused=Lately(2, 2))},
        ),
    ],
)
def test_each_thing_that_is_wrong_leads_on(what, way_out, situation):
    ((found, leads_to),) = told(**situation)
    assert found == what
    assert way_out in leads_to


def test_what_cannot_be_published_while_nobody_works_or_the_broker_is_away_is_no_concern_of_its_own():
    overdue = {"undecided": PendingCount(5, since(minutes=1)), "overdue": PendingCount(5, since(seconds=40))}
    assert len(told(workers=0, **overdue)) == 1
    away = BrokerUnavailableError("Redis is away", hint="start it")
    records = Records("0005", replace(BACKLOG, **overdue), HAPPENINGS, [])
    assert [one.what for one in find_concerns(Survey(NOW, away, records))] == ["Redis is away"]


def test_what_happened_yesterday_needs_nobody_any_more():
    assert told(happenings=replace(HAPPENINGS, conflicts=Lately(0, 5), refused=Lately(0, 9))) == []


def test_a_broker_that_does_not_tell_is_not_taken_to_have_none_in_hand():
    assert told(QueueDepth(7, None)) == []


def test_an_outage_comes_first_and_the_other_half_is_still_looked_at():
    away = BrokerUnavailableError("the broker does not answer", hint="start Redis")
    found = find_concerns(Survey(NOW, away, Records("0005", replace(BACKLOG, given_up=1), HAPPENINGS, [])))
    assert [one.is_outage for one in found] == [True, False]
    assert (found[0].what, found[0].way_out) == ("the broker does not answer", "start Redis")
    behind = SchemaError("the tables are at 0004", hint="run `moderate db upgrade`")
    (only,) = find_concerns(Survey(NOW, QueueDepth(7, 0), behind))
    assert only.is_outage


def test_a_label_that_drifts_is_a_concern_and_a_steady_one_is_not():
    steady = LabelReport("steady", 0.1, 0.1, ())
    drift = ScoreDrift(DriftKind.MORE, since(hours=12), 0.18, 0.01, 0.5, 0.4, 0.1)
    drifting = LabelReport("explosives", 0.18, 0.01, (), drift)
    reports = [
        PolicyReport("avatars", "1" * 64, None, 500, (steady,)),
        PolicyReport("default", "2" * 64, None, 500, (drifting, steady)),
    ]
    ((what, way_out),) = told(records=Records("0021", BACKLOG, HAPPENINGS, [], scores=reports))
    assert what == ("policy default: explosives flags 18% of uploads since Wednesday 15:00 UTC, 1% before")
    assert "moderate decisions --label explosives" in way_out
