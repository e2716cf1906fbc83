"""A submission's trace goes with it: from a request's or a message's header to log lines, the ledger and its event."""

import json

import pytest
from celery import Celery
from moderation_client import Client, LocalFile, Submission
from support.deployment import deploy
from support.pictures import drawing, encoded

from worker.errors import InvalidSubmissionError

TRACES = [f"00-{n:032x}-{n:016x}-01" for n in range(1, 5)]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, redis_url):
    folder = tmp_path_factory.mktemp("traces")
    made = deploy(
        folder, redis_url, f"sqlite:///{folder}/moderation.db", log_format="json", decoder_processes=1
    )
    made.save_picture("a.png", encoded(drawing(60, 40), "PNG"))
    yield made
    made.database.dispose()


@pytest.fixture(scope="module")
def logged(deployment):
    """Return the log of a worker that has decided what came in every way, a list of objects."""
    settings, source = deployment.settings, {"kind": "file", "path": "a.png"}
    with Celery(broker=settings.broker_url, set_as_current=False) as bare:
        for number, headers in enumerate(({"traceparent": TRACES[0]}, {"traceparent": "nonsense"}, {})):
            fields = {"id": f"bare-{number}", "source": source}
            bare.send_task("moderation.check", kwargs=fields, queue=settings.queue, headers=headers)
    with deployment.client() as client:
        client.submit(LocalFile("a.png"), id="single", traceparent=TRACES[1])
        client.submit_many(
            [Submission(f"many-{n}", LocalFile("a.png"), traceparent=TRACES[2 + n // 2]) for n in range(4)]
        )
    ids = ["bare-0", "bare-1", "bare-2", "single", *(f"many-{n}" for n in range(4))]
    with deployment.worker():
        deployment.decided(ids)
    text = (deployment.folder / "worker.log").read_text()
    # Every line is JSON: also Celery's, and what a library warns of.
    return [json.loads(line) for line in text.splitlines()]


def test_one_line_a_picture_says_what_was_decided(logged):
    decided = {line["submission"]: line for line in logged if "action" in line}
    assert len(decided) == 8
    lines = [line for line in logged if line.get("submission") or "moderation.check" in line["message"]]
    assert len(lines) == 8
    line = decided["single"]
    assert (line["action"], line["labels"], line["policy"]) == ("allow", [], "stickers")
    assert 0 <= line["duration_ms"] <= line["latency_ms"]
    assert line["decision"] > 0
    assert line["message"].startswith(
        f"submission single decided: allow by stickers {line['policy_version']} in "
    )


def test_each_line_names_the_trace_of_its_message(logged):
    traces = {line["submission"]: line.get("traceparent") for line in logged if "action" in line}
    assert traces == {
        "bare-0": TRACES[0],
        "bare-1": None,
        "bare-2": None,
        "single": TRACES[1],
        "many-0": TRACES[2],
        "many-1": TRACES[2],
        "many-2": TRACES[3],
        "many-3": TRACES[3],
    }


def test_what_was_sent_by_the_client_is_measured_from_then(logged):
    latencies = {line["submission"]: line["latency_ms"] for line in logged if "action" in line}
    # The worker was started after they were sent, and takes a second to load its model; theirs counts from there.
    assert latencies["single"] > latencies["bare-0"]


def test_a_trace_of_another_form_is_refused_where_it_is_given():
    with (
        Client("redis://127.0.0.1:1/0") as client,
        pytest.raises(InvalidSubmissionError, match="is not a traceparent"),
    ):
        client.submit(LocalFile("a.png"), traceparent="nonsense")
