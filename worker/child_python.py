"""Starts our modules in child processes that import what this process imports, and nothing else.

With `-m` alone, Python puts the current folder before all other places: a file that happens to be called
`torch.py` there would run.
"""

import os
import sys
from pathlib import Path
from typing import Final

#: All of our environment that a child needs; it must not know tokens and passwords.
_VARIABLES: Final = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module without the current folder on its import path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def import_path() -> dict[str, str]:
    """Return the variable that has a child look for modules in the places of this process."""
    return {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}


def bare_environment() -> dict[str, str]:
    """Return the environment of a child that works on untrusted data: it holds no secrets."""
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ} | import_path()
