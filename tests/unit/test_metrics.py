"""The metrics as Prometheus fetches them, over HTTP."""

import socket
import urllib.request
from datetime import UTC, datetime

import pytest

from worker.errors import SettingsError
from worker.metrics import Metrics, PolicyReading, WebMetrics

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def fetch(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return [line for line in lines if not line.startswith("#") and "_created" not in line]


def test_decisions_are_counted_by_policy_and_action(port):
    metrics = Metrics()
    metrics.decided("posts", "block", held_back=False)
    metrics.decided("posts", "review", held_back=True)
    metrics.shadow_decided("strict", "block")
    metrics.published_again(2)
    with metrics.served("127.0.0.1", port):
        assert fetch(port) == [
            'moderation_decisions_total{action="block",policy="posts"} 1.0',
            'moderation_decisions_total{action="review",policy="posts"} 1.0',
            'moderation_shadow_decisions_total{action="block",policy="strict"} 1.0',
            'moderation_blocks_held_back_total{policy="posts"} 1.0',
            "moderation_published_again_total 2.0",
        ]


def test_a_version_that_went_leaves_nothing_behind(port):
    readings = [PolicyReading("posts", "aaa", shadow=False, in_force_since=SINCE, refused=False)]
    metrics = Metrics()
    metrics.follow_policies(lambda: readings)
    with metrics.served("127.0.0.1", port):
        assert [line for line in fetch(port) if "_policy_" in line] == [
            'moderation_policy_in_force{policy="posts",shadow="false",version="aaa"} 1.0',
            'moderation_policy_in_force_since_timestamp_seconds{policy="posts"} 1.7672256e+09',
            'moderation_policy_refused{policy="posts"} 0.0',
        ]
        readings[:] = [
            PolicyReading("posts", "bbb", shadow=True, in_force_since=SINCE, refused=True),
            PolicyReading("avatars", None, shadow=False, in_force_since=None, refused=True),
        ]
        lines = fetch(port)
    assert 'moderation_policy_in_force{policy="posts",shadow="true",version="bbb"} 1.0' in lines
    assert not any("aaa" in line for line in lines)
    assert [line for line in lines if line.startswith("moderation_policy_refused")] == [
        'moderation_policy_refused{policy="posts"} 1.0',
        'moderation_policy_refused{policy="avatars"} 1.0',
    ]
    assert not any("avatars" in line and "in_force" in line for line in lines)


def test_a_port_in_use_is_named(port):
    with (
        Metrics().served("127.0.0.1", port),
        pytest.raises(SettingsError) as error,
        Metrics().served("127.0.0.1", port),
    ):
        pass
    assert error.value.message == f"the metrics cannot be served at 127.0.0.1:{port}: Address already in use"
    assert "MODERATION_METRICS_PORT" in error.value.hint


def test_a_host_that_is_none_is_named(port):
    with (
        pytest.raises(SettingsError, match=r"no such host\.invalid"),
        Metrics().served("no such host.invalid", port),
    ):
        pass


def test_at_port_0_nothing_is_served(monkeypatch):
    monkeypatch.setattr("worker.metrics.start_http_server", None)
    with Metrics().served("127.0.0.1", 0):
        pass


def test_a_web_process_tells_what_it_answered_and_accepted():
    metrics = WebMetrics()
    metrics.answered("POST", "/v1/submissions", 202)
    metrics.accepted(3)
    lines = metrics.text().decode().splitlines()
    assert 'moderation_http_requests_total{method="POST",route="/v1/submissions",status="202"} 1.0' in lines
    assert "moderation_accepted_total 3.0" in lines
