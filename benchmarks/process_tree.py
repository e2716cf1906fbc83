"""Measure processor time and memory of a process and its children."""

from contextlib import suppress

import psutil


def core_seconds(process_id: int) -> float:
    """Return the seconds that a process and its living children have spent on cores."""
    total = 0.0
    for process in _tree(process_id):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def resident_bytes(process_id: int) -> tuple[int, int]:
    """Return the resident memory of a process, and the sum over its children."""
    own, *children = _tree(process_id)
    total = 0
    for child in children:
        with suppress(psutil.NoSuchProcess):
            total += child.memory_info().rss
    return own.memory_info().rss, total


def _tree(process_id: int) -> list[psutil.Process]:
    own = psutil.Process(process_id)
    return [own, *own.children(recursive=True)]
