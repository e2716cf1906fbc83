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


def up_to(count: int, most: int) -> str:
    """Return a count with an upper bound: 7, or 10,000+ if it exceeds the bound."""
    return f"{count:,}" if count <= most else f"{most:,}+"
