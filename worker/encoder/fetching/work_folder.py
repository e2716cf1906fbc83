"""Keeps an interrupted download in a hidden folder beside its target, for one process at a time."""

import fcntl
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from worker.encoder.fetching.fresh_folder import cannot_be_written
from worker.errors import UsageError

#: Digits of the commit in the names of work folders.
_COMMIT_DIGITS: Final = 12


@contextmanager
def work_folder(out: Path, commit: str) -> Iterator[Path]:
    """Yield the hidden folder that becomes `out`; if the block raises, it is kept for the next run to resume.

    UsageError if it cannot be written, or if another process uses it.
    """
    work = out.parent / f".{out.name}.{commit[:_COMMIT_DIGITS]}.part"
    try:
        work.mkdir(exist_ok=True)
        with _lock(work) as is_ours:
            if not is_ours:
                raise UsageError(f"another process is fetching {out} already", hint="wait until it is done")
            yield work
    except OSError as problem:
        raise cannot_be_written(out, problem) from problem


@contextmanager
def _lock(work: Path) -> Iterator[bool]:
    """Lock a work folder and yield True, or False if another process has locked it."""
    place = os.open(work, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = True
    except BlockingIOError:
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(place)


def remove_abandoned(out: Path) -> None:
    """Remove the work folders of interrupted runs for other commits: `out` exists, so none can finish."""
    pattern = f".{glob.escape(out.name)}.{'[0-9a-f]' * _COMMIT_DIGITS}.part"
    for work in out.parent.glob(pattern):
        with suppress(OSError), _lock(work) as is_ours:
            if is_ours:
                shutil.rmtree(work)
