"""How many processors this process may use."""

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

#: What a container is allowed: "max 100000", or microseconds of every so many.
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def usable_processors(quota: Path = _QUOTA) -> int:
    """Return how many there are for us, at least 1: those that we may run on, within a container's quota."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(own, _allowed(quota))))


def _allowed(quota: Path) -> float:
    # No file, no container or an older one; "max", no limit.
    with suppress(OSError, ValueError, ZeroDivisionError):
        allowed, period = quota.read_text(encoding="ascii").split()
        return int(allowed) / int(period)
    return math.inf
