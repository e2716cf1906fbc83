"""Describe what a figure depends on: processor, versions, threads, command."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any


def circumstances(script: str, *packages: str) -> dict[str, Any]:
    """Return the machine, the versions of Python and these packages, and the command that ran `script`."""
    return {
        "machine": f"{platform.machine()}, {_processor()}, {os.cpu_count()} cores",
        "load before": round(os.getloadavg()[0], 1),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "threads": os.environ.get("OMP_NUM_THREADS", "one a core"),
        "command": " ".join([f"python benchmarks/{Path(script).name}", *_options()]),
    }


@contextmanager
def postgresql() -> Iterator[str]:
    """Start PostgreSQL and yield the URL of an empty database."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from support.postgres import running_postgres  # noqa: PLC0415 - the tests' own server, needed on demand

    with running_postgres() as server, server.fresh_database() as url:
        yield url


def _options() -> list[str]:
    """Return the options of this run that affect a figure, without files and folders."""
    return [word for word in sys.argv[1:] if word.isdecimal() or (word[:2] == "--" and word not in _PLACES)]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


_PLACES = ("--out", "--folder")
