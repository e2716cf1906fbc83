"""The trace of a request, in the format of W3C Trace Context: 00-<trace>-<span>-<flags>."""

import re
from typing import Final

TRACEPARENT: Final = "traceparent"
_FORM: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(given: object) -> str | None:
    """Return a valid traceparent unchanged, else None: W3C asks to ignore invalid ones."""
    return given if isinstance(given, str) and _FORM.fullmatch(given) else None
