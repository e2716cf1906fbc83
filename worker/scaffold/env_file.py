"""Writes `.env`: every setting with its meaning and default, commented out unless it is chosen."""

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Final

from pydantic.fields import FieldInfo

from worker.settings import Settings

WIDTH: Final = 100
HEAD: Final = """\
# The settings. A line that begins with # is not read: the value in it is the default. To change a
# setting, remove the # and write your value; put one with spaces, quotes or # into single quotes.
#
# A shell reads this file with `set -a; . ./.env; set +a`; Compose and the systemd units do too.
"""
#: The headings, each by the setting that it stands above; so a new setting never lacks one.
HEADINGS: Final = {
    "database_url": "Database and broker",
    "model": "Model and policies",
    "media_root": "Where pictures are read from",
    "max_picture_bytes": "Limits of a picture",
    "batch_size": "Speed",
    "schedule_in_workers": "Notifying the platform",
    "policy_wait_seconds": "Waiting",
    "metrics_host": "Metrics and health",
    "log_format": "Logs",
    "web_requests_per_minute": "HTTP API",
    "review_lease_seconds": "Review",
}


def env_file(chosen: Mapping[str, str]) -> str:
    """Return the text of `.env`; the settings in `chosen`, by the names of their fields, get these values."""
    return "\n".join(
        [HEAD, *("\n".join(_entry(name, field, chosen)) for name, field in Settings.model_fields.items())]
    )


def _entry(name: str, field: FieldInfo, chosen: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of one setting."""
    if heading := HEADINGS.get(name):
        yield f"\n# --- {heading} ---\n"
    yield from wrap(
        str(field.description),
        WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    variable, default = f"MODERATION_{name.upper()}", str(field.default)
    value = chosen.get(name)
    if value != default:
        yield f"#{variable}={default}"
    if value is not None:
        yield f"{variable}={value}"
    yield ""
