"""Days counted since 1970, as the backtest counts them, and dates."""

from datetime import date, timedelta
from typing import Final

_FIRST: Final = date(1970, 1, 1)


def day_of(number: int) -> date:
    """Return the date of a day since 1970."""
    return _FIRST + timedelta(days=number)
