"""Time spans as people write them: 30d, 12h, 90m."""

import re
from datetime import timedelta
from typing import Annotated, Final

import typer

_FORM: Final = re.compile(r"(\d{1,9})\s*([smhdw])", re.ASCII)
LONGEST: Final = timedelta(days=36_500)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_since(text: str) -> timedelta:
    """Parse a number with a unit; typer.BadParameter, with examples, if it is invalid."""
    found = _FORM.fullmatch(text.strip().lower())
    if found is None or not int(found[1]):
        raise typer.BadParameter(f"{text!r} is not a time span: write it like 30d, 12h, 90m, 45s or 2w")
    number, unit = int(found[1]), timedelta(**{_UNITS[found[2]]: 1})
    if number > LONGEST / unit:
        raise typer.BadParameter(f"{text!r} is longer than {LONGEST.days:,} days, a hundred years")
    return number * unit


def short(span: timedelta) -> str:
    """Return the span in its largest unit, rounded: 3 days, 5 hours, 12 minutes."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if span.total_seconds() >= seconds:
            number = round(span.total_seconds() / seconds)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return f"{span.total_seconds():.0f} seconds"


#: The option `--since`; its default is a text too, such as "7d".
Since = Annotated[
    timedelta,
    typer.Option("--since", parser=parse_since, metavar="SPAN", help="How far back to look: 30d, 12h, 90m."),
]
