"""No log of a worker shows what signs a URL."""

import logging

from worker.logs import DiscreetRecord, hide_queries

SIGNED = "https://cdn.example.com/cat.jpg?signature=5ec7e7"


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
