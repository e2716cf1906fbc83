"""Logs for people and for machines: which submission, never what signs a URL, never a picture."""

import base64
import json
import logging
import sys
import threading

import pytest

from worker.observability.logs import DiscreetRecord, about, are_json, begin_logs, hide_queries, set_up_logs
from worker.settings import Settings

SIGNED = "https://cdn.example.com/cat.jpg?signature=5ec7e7"


@pytest.fixture
def logs(monkeypatch, capsys):
    """Yield what sets logs up and returns the lines; the logging of this process is as before afterwards."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level

    def lines():
        return capsys.readouterr().err.splitlines()

    def set_up(form, **settings):
        set_up_logs(Settings(log_format=form, **settings))
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
    log = logging.getLogger("worker.images.sources.download")
    with about("upload-7"):
        log.warning("slow")
    log.info("bored")
    slow, bored = lines()
    assert slow.endswith(" WARNING worker.images.sources.download [upload-7]: slow")
    assert bored.endswith(" INFO worker.images.sources.download: bored")


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
    assert logging.getLogger().handlers[0].stream is sys.stderr  # type: ignore[attr-defined]
    set_up_logs(Settings(log_format="json"), "INFO", str(tmp_path / "worker.log"))
    logging.getLogger("worker").info("written")
    (handler,) = logging.getLogger().handlers
    handler.close()
    assert json.loads((tmp_path / "worker.log").read_text())["message"] == "written"


HOSTILE = "\x1b[2J\x1b]8;;https://evil.example\x1b\\link \u202egpj\n2026-01-01 00:00:00 ERROR worker: forged"


class Hostile:
    """What looks hostile in the message of an exception."""

    def __repr__(self):
        return HOSTILE


def test_a_line_for_people_holds_nothing_that_a_terminal_obeys_and_no_second_line(logs):
    lines = logs("text")
    logging.getLogger("worker").warning("the reference %s", HOSTILE)
    (line,) = lines()
    assert line.endswith(
        r"the reference \x1b[2J\x1b]8;;https://evil.example\x1b\link \u202egpj\n2026-01-01 00:00:00 ERROR worker: forged"
    )


def test_no_line_of_a_traceback_looks_like_a_record(logs):
    lines = logs("text")
    try:
        {}[Hostile()]
    except KeyError:
        logging.getLogger("worker").exception("failed")
    first, *others = lines()
    assert first.endswith(" ERROR worker: failed")
    assert [line for line in others if not line.startswith("    ")] == []
    assert "\x1b" not in "".join(others)


def test_a_line_for_machines_has_the_fields_that_are_given(logs):
    lines = logs("json")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with about("upload-7", trace):
        logging.getLogger("worker").info(
            "decided", extra={"fields": {"action": "block", "labels": ["weapons"], "none": None}}
        )
    with about("upload-8", "no trace"):
        logging.getLogger("worker").info(HOSTILE)
    decided, hostile = map(json.loads, lines())
    assert (decided["action"], decided["labels"], decided["traceparent"]) == ("block", ["weapons"], trace)
    assert "none" not in decided
    assert ("traceparent" in hostile, hostile["message"]) == (False, HOSTILE)


def test_a_line_for_people_names_the_trace(logs):
    lines = logs("text")
    with about("upload-7", trace := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"):
        logging.getLogger("worker").info("slow")
    assert lines()[0].endswith(f" INFO worker [upload-7 {trace}]: slow")


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_that_of_the_settings(logs, level, shown):
    lines = logs("text", log_level=level)
    for name in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("worker"), name)("said")
    assert len(lines()) == shown


@pytest.mark.parametrize(
    ("environment", "level", "json_asked"),
    [
        ({}, logging.WARNING, False),
        ({"MODERATION_LOG_FORMAT": "json"}, logging.WARNING, True),
        ({"moderation_log_format": "JSON", "MODERATION_LOG_LEVEL": "debug"}, logging.DEBUG, True),
        ({"MODERATION_LOG_FORMAT": "xml", "MODERATION_LOG_LEVEL": "loud"}, logging.WARNING, False),
    ],
)
def test_logs_begin_as_the_environment_asks(logs, monkeypatch, environment, level, json_asked):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    begin_logs()
    assert (logging.getLogger().level, are_json()) == (level, json_asked)


def test_what_ends_a_thread_unforeseen_is_logged(logs):
    lines = logs("json")

    def fail():
        raise RuntimeError("unforeseen")

    thread = threading.Thread(target=fail, name="renewing")
    thread.start()
    thread.join()
    (line,) = map(json.loads, lines())
    assert (line["level"], line["message"]) == ("CRITICAL", "an unforeseen error ends the thread renewing")
    assert line["traceback"].endswith("RuntimeError: unforeseen")
