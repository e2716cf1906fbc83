"""Turns terminating signals into an exception, so that child processes are stopped on exit."""

import signal
from types import FrameType
from typing import NoReturn


def exit_cleanly() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A signal that nohup or a shell ignores stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
