"""Finds data folders: at the top of a checkout, in the package of a wheel, in the demo's distribution."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from worker.errors import SettingsError

_PACKAGE: Final = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """Return the folder `name` ("migrations" or "policies") of this installation."""
    inside_wheel = _PACKAGE / "_resources" / name
    return inside_wheel if inside_wheel.is_dir() else _PACKAGE.parent / name


def demo_is_installed() -> bool:
    """Return whether the demo's distribution is installed."""
    return find_spec("moderation_demo") is not None


def demo_folder(name: str) -> Path:
    """Return the demo's folder `name` ("model" or "pictures"), which has 12 MB and its own distribution.

    SettingsError if that is not installed.
    """
    spec = find_spec("moderation_demo")
    if spec is None or spec.origin is None:
        raise SettingsError(
            f"the demo's {name} is not installed",
            hint="pip install moderation-demo, or set MODERATION_MODEL to a model of your own; "
            "`moderate model list` shows models to start from",
        )
    return Path(spec.origin).parent / name
