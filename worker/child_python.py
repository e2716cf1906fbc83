"""Builds command and environment of child processes that run our modules with this process's import path.

With `-m` alone, Python puts the current folder first on the import path: a file there that happens to be
called `torch.py` would run.
"""

import os
import sys
from pathlib import Path
from typing import Final

#: The only variables that a child inherits; tokens and passwords are not among them.
_VARIABLES: Final = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module without the current folder on its import path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def import_path() -> dict[str, str]:
    """Return the variable that gives a child the import path of this process."""
    return {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}


def bare_environment() -> dict[str, str]:
    """Return an environment without secrets, for a child that processes untrusted data."""
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ} | import_path()
