"""The trace that a request belongs to, as W3C Trace Context writes it: 00-<trace>-<span>-<flags>."""

import re
from typing import Final

TRACEPARENT: Final = "traceparent"
_FORM: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(given: object) -> str | None:
    """Return the trace that a header names; None if it names none: W3C asks to ignore an invalid one."""
    return given if isinstance(given, str) and _FORM.fullmatch(given) else None
