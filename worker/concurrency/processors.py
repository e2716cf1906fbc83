"""How many processors this process may use: those it may run on, within the quotas of its control groups."""

import math
import os
from contextlib import suppress
from pathlib import Path

from worker.control_groups import MEMBERSHIP, MOUNT, groups


def usable_processors(membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> int:
    """Return how many there are for us, at least 1."""
    own = len(allowed_processors()) or os.cpu_count() or 1
    return max(1, math.ceil(min(own, quota(membership, mount) or own)))


def allowed_processors() -> set[int]:
    """Return the numbers of the processors that this process may run on; empty if the system does not say."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def quota(membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> float | None:
    """Return how many processors' time this process may use; None if that is not limited.

    A group has no more than the groups around it: a pod limits its containers, a slice its services.
    """
    return min(
        (limit for folder in groups("cpu", membership, mount) if (limit := _limit(folder))), default=None
    )


def _limit(group: Path) -> float | None:
    """Return how many processors' time a group may use; None if it has no limit of its own."""
    # No file: no such group, or no such controller. "max" or -1: no limit.
    with suppress(OSError, ValueError, ZeroDivisionError):
        allowed, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return _positive(int(allowed) / int(period))
    with suppress(OSError, ValueError, ZeroDivisionError):
        allowed, period = (
            (group / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")
        )
        return _positive(int(allowed) / int(period))
    return None


def _positive(limit: float) -> float | None:
    return limit if limit > 0 else None
