"""Runs the command `moderate` in this process, as a terminal would see it."""

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
    """How a command ended and what it printed."""

    exit_code: int
    out: str
    err: str


class Moderate:
    """Call it with the arguments of the command line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object, **settings: object) -> Result:
        """Run the command with MODERATION_ variables from `settings`; no traceback may reach a person."""
        for name, value in settings.items():
            self._monkeypatch.setenv(f"MODERATION_{name.upper()}", str(value))
        self._monkeypatch.setattr(sys, "argv", ["moderate", *map(str, arguments)])
        self._capsys.readouterr()
        with _logging_as_before(), pytest.raises(SystemExit) as left:
            run()
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Result(left.value.code or 0, captured.out, captured.err)


@contextmanager
def _logging_as_before() -> Iterator[None]:
    """Take back what a command that stays sets up for a whole process, which here is the tests' own."""
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
