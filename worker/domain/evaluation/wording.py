"""Numbers as people say them."""


def counted(number: int, noun: str) -> str:
    """Return "1 event" or "2,000 events"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def age(seconds: float) -> str:
    """Return a duration, rounded to one unit: 40 s, 12 min, 3 h, 5 days."""
    for unit, length, most in (("s", 1, 120), ("min", 60, 120 * 60), ("h", 3600, 48 * 3600)):
        if seconds < most:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def percent(share: float) -> str:
    """Return a share from 0 to 1 in per cent, to two digits: 18%, 1.2%, 0.04%."""
    if share == 0 or share >= 0.1:
        return f"{share:.0%}"
    return f"{100 * share:.2g}%" if share >= 0.0001 else "less than 0.01%"


def up_to(count: int, most: int) -> str:
    """Return a count with an upper bound: 7, or 10,000+ if it exceeds the bound."""
    return f"{count:,}" if count <= most else f"{most:,}+"
