"""The server beside the work: paths, verdicts as JSON, and addresses that cannot be listened on."""

import json
import socket
import urllib.error
import urllib.request

import pytest

from worker.errors import SettingsError
from worker.observability.probes import serving, verdict_of


@pytest.fixture
def port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def ask(port, path, method="GET"):
    """Return status, kind and JSON of an answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers["Content-Type"], json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], json.load(error)


def test_a_verdict_is_a_status_and_json(port):
    verdicts = {"/healthz": (True, {"status": "idle"}), "/readyz": (False, {"ready": False})}
    routes = {path: verdict_of(lambda told=told: told) for path, told in verdicts.items()}
    json_text = "application/json; charset=utf-8"
    with serving("127.0.0.1", port, routes):
        assert ask(port, "/healthz?verbose=1") == (200, json_text, {"status": "idle"})
        assert ask(port, "/readyz") == (503, json_text, {"ready": False})
        assert ask(port, "/") == (404, json_text, {"paths": ["/healthz", "/readyz"]})
        assert ask(port, "/healthz", "POST")[0] == 405


def test_a_port_in_use_is_named(port):
    with (
        serving("127.0.0.1", port, {}),
        pytest.raises(SettingsError) as error,
        serving("127.0.0.1", port, {}),
    ):
        pass
    assert error.value.message == f"the metrics cannot be served at 127.0.0.1:{port}: Address already in use"
    assert "MODERATION_METRICS_PORT" in error.value.hint


def test_a_host_that_is_none_is_named(port):
    with (
        pytest.raises(SettingsError, match=r"no such host\.invalid"),
        serving("no such host.invalid", port, {}),
    ):
        pass


def test_at_port_0_nothing_is_served(monkeypatch):
    monkeypatch.setattr("worker.observability.probes._server", None)
    with serving("127.0.0.1", 0, {}):
        pass
