"""Reads processor time and memory of a process and its children from /proc, if the system has one."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
#: Indexes of the fields of `stat` after the process name, which may contain blanks.
_PARENT, _USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM = 1, 11, 12, 13, 14


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """A process and its children at one moment."""

    #: Processor time since it started.
    own_seconds: float
    #: The sum over its children, including those that have exited.
    children_seconds: float
    #: The peak resident memory.
    own_peak_bytes: int
    #: The sum over its living children.
    children_peak_bytes: int
    children: int


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
        own_peak_bytes=_peak_bytes(_PROC / str(pid)),
        children_peak_bytes=sum(_peak_bytes(folder) for folder, _ in children),
        children=len(children),
    )


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


def _peak_bytes(folder: Path) -> int:
    with suppress(OSError):
        for line in (folder / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
