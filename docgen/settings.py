"""`settings.md`: every setting, in groups."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from docgen import markdown as md
from worker.settings import Settings

#: The beginnings of the settings' names that belong to a group.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Database and broker": ("database_", "broker_", "queue"),
    "Model": ("model", "batch_", "precision", "device", "passes", "torch_", "concurrency"),
    "Policies": ("policies", "policy"),
    "Pictures": ("media_", "url_", "download_", "missing_", "object_", "max_", "decode"),
    "Events": ("schedule_", "webhook_", "outbox_", "callback_"),
    "Monitoring": ("metrics_", "stuck_", "exit_", "log_"),
    "Web server": ("web_", "trusted_"),
    "Review": ("review",),
}
_OPENING: Final = """A setting is an environment variable; all have defaults that work on one machine.

In containers, a setting can also be a file in `/run/secrets` that has the variable's name in lower case,
such as `moderation_database_password`. A misspelt variable is an error that names the right one."""
_LIMITS: Final = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def page() -> str:
    """Return the page."""
    grouped = {heading: list(_group(beginnings)) for heading, beginnings in GROUPS.items()}
    sections = {
        heading: md.blocks(*(_setting(name, Settings.model_fields[name]) for name in names))
        for heading, names in grouped.items()
    }
    return md.page("Settings", _OPENING, sections)


def _group(beginnings: tuple[str, ...]) -> Iterator[str]:
    return (name for name in Settings.model_fields if name.startswith(beginnings))


def _setting(name: str, field: FieldInfo) -> str:
    facts = [f"Default: {_default(field.default)}.", *_allowed(field)]
    return md.blocks(f"### MODERATION_{name.upper()}", md.prose(field.description or ""), " ".join(facts))


def _default(value: Any) -> str:
    match value:
        case "":
            return "empty"
        case bool() | dict():
            return md.code(json.dumps(value))
        case Path():
            return md.code(value.as_posix())
        case _:
            return md.code(str(value))


def _allowed(field: FieldInfo) -> Iterator[str]:
    """Yield a sentence about the values that are allowed, if not all of the type are."""
    if get_origin(field.annotation) is Literal:
        yield f"One of {', '.join(map(md.code, get_args(field.annotation)))}."
    limits = [
        f"{words} {getattr(limit, kind):,}"
        for limit in field.metadata
        for kind, words in _LIMITS.items()
        if hasattr(limit, kind)
    ]
    if limits:
        yield f"{' and '.join(limits).capitalize()}."
