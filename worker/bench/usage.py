"""Reads from /proc, if the system has one, what a process and its children use, and what is left idle.

psutil reads no peak of memory from /proc, and no idle time by the number of a processor.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.concurrency.processors import allowed_processors, quota

_PROC: Final = Path("/proc")
#: Indexes of the fields of a process's `stat` after its name, which may contain blanks.
_PARENT, _USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM = 1, 11, 12, 13, 14

#: Indexes, after a processor's name in `/proc/stat`, of the time idle and of the time waiting for a disk.
_IDLE, _WAITING = 3, 4


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """A process and its children at one moment."""

    #: Processor time since it started.
    own_seconds: float
    #: The sum over its children, including those that have exited.
    children_seconds: float
    #: Resident memory, and the sum over its living children.
    own_bytes: int
    children_bytes: int
    #: The peak of resident memory, and the sum of its living children's peaks.
    own_peak_bytes: int
    children_peak_bytes: int
    #: The number of its living children.
    children: int

    @property
    def seconds(self) -> float:
        """Processor time of all."""
        return self.own_seconds + self.children_seconds


def read_tree(pid: int) -> ProcessTree | None:
    """Return the state of a process and its children; None if it has exited or there is no /proc."""
    own = _fields(_PROC / str(pid))
    if own is None:
        return None
    children = list(_children(pid))
    of_living = sum(_seconds(fields, _USER, _SYSTEM) for _, fields in children)
    return ProcessTree(
        own_seconds=_seconds(own, _USER, _SYSTEM),
        children_seconds=of_living + _seconds(own, _CHILDREN_USER, _CHILDREN_SYSTEM),
        own_bytes=_bytes(_PROC / str(pid), "VmRSS"),
        children_bytes=sum(_bytes(folder, "VmRSS") for folder, _ in children),
        own_peak_bytes=_bytes(_PROC / str(pid), "VmHWM"),
        children_peak_bytes=sum(_bytes(folder, "VmHWM") for folder, _ in children),
        children=len(children),
    )


def idle_seconds() -> float | None:
    """Return the idle time of all usable processors since boot; None if unknown.

    It is unknown in a container with a CPU quota: the container can be idle while its neighbours are busy.
    """
    allowed = allowed_processors()
    if not allowed or quota() is not None:
        return None
    ticks = {f"cpu{number}": 0 for number in allowed}
    with suppress(OSError, ValueError, IndexError):
        for line in (_PROC / "stat").read_text(encoding="ascii").splitlines():
            name, *times = line.split()
            if name in ticks:
                ticks[name] = int(times[_IDLE]) + int(times[_WAITING])
        return sum(ticks.values()) / os.sysconf("SC_CLK_TCK")
    return None


def _children(pid: int) -> Iterator[tuple[Path, list[str]]]:
    for folder in _PROC.iterdir():
        if folder.name.isdecimal() and (fields := _fields(folder)) and fields[_PARENT] == str(pid):
            yield folder, fields


def _fields(folder: Path) -> list[str] | None:
    """Return the fields of `stat` after the process name; None if there is no such process."""
    with suppress(OSError):
        return (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return None


def _seconds(fields: list[str], *places: int) -> float:
    return sum(int(fields[place]) for place in places) / os.sysconf("SC_CLK_TCK")


def _bytes(folder: Path, name: str) -> int:
    """Return a size from `status`; 0 if the process has exited."""
    with suppress(OSError):
        for line in (folder / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
