"""The metrics as Prometheus fetches them."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from moderation_client.queue_depth import QueueDepth

from worker.domain.operations.backlog import Backlog, PendingCount
from worker.domain.operations.score_drift import DriftKind, LabelReport, PolicyReport, ScoreDrift
from worker.domain.reviews.review import ReviewKind
from worker.errors import DatabaseUnavailableError
from worker.observability.metrics import Metrics, PolicyReading, Recent, WebMetrics
from worker.observability.metrics.labels import MOST_LABELS
from worker.observability.progress import Progress

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def lines_of(metrics, *names):
    """Return what is told of these metrics."""
    told = metrics.text().decode().splitlines()
    return [line for line in told if line.startswith(names) and "_created" not in line]


def test_decisions_are_counted_by_policy_version_and_action_and_apart_by_label():
    metrics = Metrics()
    metrics.decided("posts", "aaa", "block", ["weapons", "alcohol"], held_back=False)
    metrics.decided("posts", "bbb", "review", ["weapons"], held_back=True)
    metrics.shadow_decided("strict", "block")
    assert lines_of(metrics, "moderation_decisions", "moderation_flagged", "moderation_shadow") == [
        'moderation_decisions_total{action="block",policy="posts",version="aaa"} 1.0',
        'moderation_decisions_total{action="review",policy="posts",version="bbb"} 1.0',
        'moderation_flagged_total{action="block",label="weapons",policy="posts"} 1.0',
        'moderation_flagged_total{action="block",label="alcohol",policy="posts"} 1.0',
        'moderation_flagged_total{action="review",label="weapons",policy="posts"} 1.0',
        'moderation_shadow_decisions_total{action="block",policy="strict"} 1.0',
    ]
    assert lines_of(metrics, "moderation_blocks_held_back_total") == [
        'moderation_blocks_held_back_total{policy="posts"} 1.0'
    ]


def test_what_goes_wrong_is_counted():
    metrics = Metrics()
    metrics.retried()
    metrics.quarantined("posts")
    metrics.conflicted()
    metrics.published_again(2)
    assert lines_of(
        metrics,
        "moderation_retries_total",
        "moderation_quarantines_total",
        "moderation_conflicts_total",
        "moderation_published_again_total",
    ) == [
        "moderation_published_again_total 2.0",
        "moderation_retries_total 1.0",
        'moderation_quarantines_total{policy="posts"} 1.0',
        "moderation_conflicts_total 1.0",
    ]


def test_stages_and_batches_are_measured_also_where_they_fail():
    metrics = Metrics()
    with metrics.stage("fetch"):
        pass
    with pytest.raises(ValueError, match="no picture"), metrics.stage("decode"):
        raise ValueError("no picture")
    metrics.batched(16)
    metrics.batched(3)
    assert lines_of(metrics, "moderation_stage_seconds_count", "moderation_batch_pictures_sum") == [
        "moderation_batch_pictures_sum 19.0",
        'moderation_stage_seconds_count{stage="fetch"} 1.0',
        'moderation_stage_seconds_count{stage="decode"} 1.0',
    ]


def test_a_version_that_went_leaves_nothing_behind():
    readings = [PolicyReading("posts", "aaa", shadow=False, in_force_since=SINCE, refused=False)]
    metrics = Metrics()
    metrics.follow_policies(lambda: readings)
    assert lines_of(metrics, "moderation_policy") == [
        'moderation_policy_in_force{policy="posts",shadow="false",version="aaa"} 1.0',
        'moderation_policy_in_force_since_timestamp_seconds{policy="posts"} 1.7672256e+09',
        'moderation_policy_refused{policy="posts"} 0.0',
    ]
    readings[:] = [
        PolicyReading("posts", "bbb", shadow=True, in_force_since=SINCE, refused=True),
        PolicyReading("avatars", None, shadow=False, in_force_since=None, refused=True),
    ]
    lines = lines_of(metrics, "moderation_policy")
    assert 'moderation_policy_in_force{policy="posts",shadow="true",version="bbb"} 1.0' in lines
    assert not any("aaa" in line for line in lines)
    assert [line for line in lines if line.startswith("moderation_policy_refused")] == [
        'moderation_policy_refused{policy="posts"} 1.0',
        'moderation_policy_refused{policy="avatars"} 1.0',
    ]
    assert not any("avatars" in line and "in_force" in line for line in lines)


def test_what_waits_is_told_and_a_database_that_is_away_is_told_too():
    now = datetime.now(UTC)
    answers = [
        Backlog(
            at=now,
            undecided=PendingCount(3, now - timedelta(days=1)),
            given_up=2,
            reviews={ReviewKind.QUARANTINE: PendingCount(1, now), ReviewKind.AUDIT: PendingCount()},
            workers=4,
        ),
        None,
    ]
    metrics = WebMetrics()
    metrics.follow_backlog(lambda: answers.pop(0))
    told = dict(line.split() for line in lines_of(metrics, "moderation_"))
    assert told["moderation_database_up"] == "1.0"
    assert (told["moderation_undecided"], told["moderation_outbox_given_up"]) == ("3.0", "2.0")
    assert float(told["moderation_undecided_oldest_seconds"]) == pytest.approx(86_400, abs=60)
    assert told['moderation_reviews_open{kind="quarantine"}'] == "1.0"
    assert told['moderation_reviews_open_oldest_seconds{kind="audit"}'] == "0.0"
    assert (told["moderation_outbox_pending"], told["moderation_workers"]) == ("0.0", "4.0")
    away = lines_of(metrics, "moderation_database", "moderation_undecided", "moderation_reviews")
    assert away == ["moderation_database_up 0.0"]


def test_labels_are_reported_with_what_they_did_before_and_no_more_of_them_than_fit():
    drift = ScoreDrift(DriftKind.FEWER, SINCE, 0, 0.01, 0.5, 0.1, 0.2)
    labels = [
        LabelReport("weapons", 0.0, 0.01, (0.1, 0.2, 0.3), drift),
        LabelReport("new", 0.5, None, (0.1,) * 3),
    ]
    many = [LabelReport(f"label {n}", 0.0, 0.0, (0.1,) * 3) for n in range(1000)]
    answers = [
        [
            PolicyReport("posts", "a", None, 9, tuple(labels)),
            PolicyReport("large", "b", None, 9, tuple(many)),
        ],
        None,
        [],
    ]
    metrics = WebMetrics()
    metrics.follow_labels(lambda: answers.pop(0))
    lines = lines_of(metrics, "moderation_label_")
    assert [line for line in lines if 'policy="posts"' in line] == [
        'moderation_label_flagged_share{label="weapons",policy="posts",window="day"} 0.0',
        'moderation_label_flagged_share{label="weapons",policy="posts",window="before"} 0.01',
        'moderation_label_flagged_share{label="new",policy="posts",window="day"} 0.5',
        'moderation_label_score{label="weapons",percentile="50",policy="posts"} 0.1',
        'moderation_label_score{label="weapons",percentile="90",policy="posts"} 0.2',
        'moderation_label_score{label="weapons",percentile="99",policy="posts"} 0.3',
        *(f'moderation_label_score{{label="new",percentile="{n}",policy="posts"}} 0.1' for n in (50, 90, 99)),
        'moderation_label_drift{label="weapons",policy="posts"} 1.0',
        'moderation_label_drift{label="new",policy="posts"} 0.0',
    ]
    assert len([line for line in lines if 'policy="large"' in line]) == MOST_LABELS * 6
    assert lines_of(metrics, "moderation_label_") == lines_of(metrics, "moderation_label_") == []


def test_the_queue_is_told_as_far_as_the_broker_tells():
    answers = [QueueDepth(7, 2), QueueDepth(7, None), None]
    metrics = Metrics()
    metrics.follow_queue(lambda: answers.pop(0))
    names = ("moderation_broker", "moderation_queue")
    assert lines_of(metrics, *names) == [
        "moderation_broker_up 1.0",
        "moderation_queue_waiting 7.0",
        "moderation_queue_unacknowledged 2.0",
    ]
    assert lines_of(metrics, *names) == ["moderation_broker_up 1.0", "moderation_queue_waiting 7.0"]
    assert lines_of(metrics, *names) == ["moderation_broker_up 0.0"]


def test_what_is_in_hand_is_told():
    metrics, progress = Metrics(), Progress(clock=iter([0.0, 10.0, 15.0]).__next__)
    metrics.follow_progress(progress)
    with progress.job("upload-7"):
        assert lines_of(metrics, "moderation_jobs") == [
            "moderation_jobs_in_hand 1.0",
            "moderation_jobs_in_hand_oldest_seconds 5.0",
        ]
        progress._clock = lambda: 20.0


def test_a_web_process_tells_what_it_answered_and_accepted():
    metrics = WebMetrics()
    metrics.answered("POST", "/v1/submissions", 202)
    metrics.accepted(3)
    metrics.published_again(2)
    lines = metrics.text().decode().splitlines()
    assert 'moderation_http_requests_total{method="POST",route="/v1/submissions",status="202"} 1.0' in lines
    assert {"moderation_accepted_total 3.0", "moderation_published_again_total 2.0"} <= set(lines)
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


def test_many_who_ask_share_a_reading():
    count = iter(range(100))
    read = Recent(lambda: next(count), "the count", keep_seconds=1000)
    assert [read() for _ in range(5)] == [0] * 5
    fresh = Recent(lambda: next(count), "the count", keep_seconds=0)
    assert [fresh(), fresh()] == [1, 2]


def test_a_reading_that_fails_is_none_and_is_said_once(caplog):
    def fail():
        raise DatabaseUnavailableError("the database is away")

    read = Recent(fail, "the backlog", keep_seconds=0)
    assert [read(), read(), read()] == [None] * 3
    assert caplog.messages == ["the backlog cannot be read: the database is away"]


def test_a_reading_that_takes_too_long_holds_nobody_up_and_is_there_later():
    gate = threading.Event()

    def read_slowly():
        gate.wait()
        return 7

    read = Recent(read_slowly, "the backlog", keep_seconds=1000, wait_seconds=0)
    assert [read(), read()] == [None, None]
    gate.set()
    patient = read._reading().result(30)
    assert (patient, read()) == (7, 7)
