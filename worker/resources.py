"""Finds data folders: at the top of a checkout, or inside the package of a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """Return the folder `name` ("migrations" or "policies") of this installation."""
    inside_wheel = _PACKAGE / "_resources" / name
    return inside_wheel if inside_wheel.is_dir() else _PACKAGE.parent / name
