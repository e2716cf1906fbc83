"""Runs the command `moderate` in this process, and captures its output."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from worker.cli.main import run


@dataclass(frozen=True)
class Result:
    """The exit code and the output of a command."""

    exit_code: int
    out: str
    err: str


class Moderate:
    """Calls the command with the given arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object, **settings: object) -> Result:
        """Run the command with `settings` as MODERATION_ variables; fail on a traceback."""
        for name, value in settings.items():
            self._monkeypatch.setenv(f"MODERATION_{name.upper()}", str(value))
        self._monkeypatch.setattr(sys, "argv", ["moderate", *map(str, arguments)])
        self._capsys.readouterr()
        with _restored_logging(), pytest.raises(SystemExit) as left:
            run()
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Result(left.value.code or 0, captured.out, captured.err)


@contextmanager
def _restored_logging() -> Iterator[None]:
    """Undo what a long-running command sets up for its process, which here is the process of the tests."""
    root = logging.getLogger()
    handlers, level, factory = list(root.handlers), root.level, logging.getLogRecordFactory()
    hooks = sys.excepthook, threading.excepthook
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.setLogRecordFactory(factory)
        logging.captureWarnings(False)
        sys.excepthook, threading.excepthook = hooks
