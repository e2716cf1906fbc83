"""Signals that end a command, turned into an exception, so that every child is stopped on the way out."""

import signal
from types import FrameType
from typing import NoReturn


def exit_cleanly() -> None:
    """Have SIGTERM and SIGHUP do what Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # What nohup or a shell has us ignore stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
