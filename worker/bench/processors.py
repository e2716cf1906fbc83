"""How long the processors that we may use had nothing to do, where the system has a /proc."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from worker.concurrency.processors import allowed_processors, quota

_STAT: Final = Path("/proc/stat")
#: Behind a processor's name: the places of the time that was idle, and that waited for a disk.
_IDLE, _WAITING = 3, 4


def idle_seconds() -> float | None:
    """Return the idle time of all our processors since the machine started; None where nobody can say.

    Nor in a container that may use a part of them: it can be idle while its neighbours are not.
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
