"""Reads the idle time of the usable processors from /proc, if the system has one."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from worker.concurrency.processors import allowed_processors, quota

_STAT: Final = Path("/proc/stat")
#: Indexes, after a processor's name, of the idle time and of the time spent waiting for a disk.
_IDLE, _WAITING = 3, 4


def idle_seconds() -> float | None:
    """Return the idle time of all usable processors since boot; None if unknown.

    It is unknown in a container with a CPU quota: the container can be idle while its neighbours are busy.
    """
    allowed = allowed_processors()
    if not allowed or quota() is not None:
        return None
    ticks = {f"cpu{number}": 0 for number in allowed}
    with suppress(OSError, ValueError, IndexError):
        for line in _STAT.read_text(encoding="ascii").splitlines():
            name, *times = line.split()
            if name in ticks:
                ticks[name] = int(times[_IDLE]) + int(times[_WAITING])
        return sum(ticks.values()) / os.sysconf("SC_CLK_TCK")
    return None
