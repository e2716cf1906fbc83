"""How many processors this process may use."""

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

#: What a container is allowed: "max 100000", or microseconds of every so many.
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def usable_processors() -> int:
    """Return how many there are for us, at least 1: those that we may run on, within a container's quota."""
    own = len(allowed_processors()) or os.cpu_count() or 1
    return max(1, math.ceil(min(own, quota() or own)))


def allowed_processors() -> set[int]:
    """Return the numbers of the processors that this process may run on; none where nobody can say."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def quota() -> float | None:
    """Return how many processors' time a container may use, where that is limited."""
    # No file: no container, or an older kernel's. "max": no limit.
    with suppress(OSError, ValueError, ZeroDivisionError):
        allowed, period = _QUOTA.read_text(encoding="ascii").split()
        return int(allowed) / int(period)
    return None
