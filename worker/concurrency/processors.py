"""Counts the processors that this process may use, by its affinity and the quotas of its control groups."""

import math
import os
from contextlib import suppress
from pathlib import Path

from worker.control_groups import MEMBERSHIP, MOUNT, groups


def usable_processors(membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> int:
    """Return the number of usable processors, at least 1."""
    own = len(allowed_processors()) or os.cpu_count() or 1
    return max(1, math.ceil(min(own, quota(membership, mount) or own)))


def allowed_processors() -> set[int]:
    """Return the CPU numbers of this process's affinity; empty if the system does not report it."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def quota(membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> float | None:
    """Return the CPU quota of this process, in processors; None if there is no limit.

    A group's quota is limited by its parents': a pod limits its containers, a slice its services.
    """
    return min(
        (limit for folder in groups("cpu", membership, mount) if (limit := _limit(folder))), default=None
    )


def _limit(group: Path) -> float | None:
    """Return the CPU quota of a single group, in processors; None if it sets none."""
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
