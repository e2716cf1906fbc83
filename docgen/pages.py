"""The generated pages, by the names of their files."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from docgen import cli, database, events, http_api, metrics, policy, settings, webhooks

PAGES: Final[dict[str, Callable[[], str]]] = {
    "cli.md": cli.page,
    "settings.md": settings.page,
    "policy.md": policy.page,
    "http-api.md": http_api.page,
    "webhooks.md": webhooks.page,
    "events.md": events.page,
    "metrics.md": metrics.page,
    "database.md": database.page,
}


def write_pages(folder: Path) -> None:
    """Write every page into `folder`."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
