"""Logs for people and for machines: which submission, never what signs a URL, never a picture."""

import base64
import json
import logging
import sys
import threading

import pytest

from worker.logs import DiscreetRecord, about, are_json, hide_queries, set_up_logs
from worker.settings import Settings

SIGNED = "https://cdn.example.com/cat.jpg?signature=5ec7e7"


@pytest.fixture
def logs(monkeypatch, capsys):
    """Yield what sets logs up and returns the lines; the logging of this process is as before afterwards."""
    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level

    def lines():
        return capsys.readouterr().err.splitlines()

    def set_up(form):
        set_up_logs(Settings(log_format=form), "INFO")
        return lines

    yield set_up
    root.setLevel(level)
    logging.captureWarnings(False)


def test_messages_arguments_and_tracebacks_lose_their_queries(monkeypatch, caplog):
    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    hide_queries()
    log = logging.getLogger("somebody.else")
    log.warning(f"got {SIGNED}")  # noqa: G004 - as others do
    log.warning("got %s", {"kwargs": {"url": SIGNED}})
    try:
        int(SIGNED)
    except ValueError:
        log.exception("failed")
    assert len(caplog.records) == 3
    assert all(isinstance(record, DiscreetRecord) for record in caplog.records)
    assert caplog.text.count("https://cdn.example.com/cat.jpg") == 3
    assert "Traceback" in caplog.text
    assert "5ec7e7" not in caplog.text


def test_a_picture_inside_a_message_is_not_shown(logs):
    lines = logs("text")
    picture = base64.b64encode(bytes(range(256)) * 8).decode()
    logging.getLogger("celery").error("received %r", {"id": "upload-7", "data": picture})
    (line,) = lines()
    assert line.endswith("celery: received {'id': 'upload-7', 'data': '...'}")


def test_a_line_for_people_names_the_submission_while_it_is_worked_on(logs):
    lines = logs("text")
    log = logging.getLogger("worker.images.download")
    with about("upload-7"):
        log.warning("slow")
    log.info("bored")
    slow, bored = lines()
    assert slow.endswith(" WARNING worker.images.download [upload-7]: slow")
    assert bored.endswith(" INFO worker.images.download: bored")


def test_a_line_for_machines_is_one_object_with_the_traceback_inside(logs):
    lines = logs("json")
    log = logging.getLogger("worker.tasks")
    with about("upload-7"):
        try:
            int(SIGNED)
        except ValueError:
            log.exception("failed:\n%s", SIGNED)
    log.info("well")
    failed, well = map(json.loads, lines())
    assert failed["level"] == "ERROR"
    assert failed["message"] == "failed:\nhttps://cdn.example.com/cat.jpg"
    assert failed["submission"] == "upload-7"
    assert failed["traceback"].startswith("Traceback")
    assert "5ec7e7" not in failed["traceback"]
    assert failed["time"].endswith("+00:00")
    assert set(well) == {"time", "level", "logger", "message", "process", "thread"}
    assert are_json()


def test_what_a_message_calls_its_id_cannot_forge_a_line(logs):
    lines = logs("text")
    for given in ("a\nb", 7, None, "x" * 200):
        with about(given):
            logging.getLogger("worker").warning("refused")
    assert [line.endswith(" WARNING worker: refused") for line in lines()] == [True] * 4


def test_each_thread_has_its_own_submission(logs):
    lines = logs("json")

    def work():
        with about("other"):
            logging.getLogger("worker").info("there")

    with about("mine"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        logging.getLogger("worker").info("here")
    assert [json.loads(line)["submission"] for line in lines()] == ["other", "mine"]


def test_logs_go_to_standard_error_or_to_a_file(logs, tmp_path):
    logs("json")
    assert logging.getLogger().handlers[0].stream is sys.stderr
    set_up_logs(Settings(log_format="json"), "INFO", str(tmp_path / "worker.log"))
    logging.getLogger("worker").info("written")
    (handler,) = logging.getLogger().handlers
    handler.close()
    assert json.loads((tmp_path / "worker.log").read_text())["message"] == "written"
