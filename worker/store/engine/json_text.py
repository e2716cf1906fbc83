"""JSON for PostgreSQL's JSONB, which keeps a number's digits but returns 1e300 as an integer."""

import json
import re
from decimal import Decimal
from typing import Any, Final

#: A string, which stays as it is, or a float that Python writes with a positive exponent: a whole number.
_LARGE_FLOAT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(-?[0-9.]+e\+[0-9]+)')


def json_text(value: Any) -> str:
    """Return `value` as JSON whose floats PostgreSQL returns as equal floats."""
    return _LARGE_FLOAT.sub(_with_all_digits, json.dumps(value))


def _with_all_digits(found: re.Match[str]) -> str:
    return f"{Decimal(found[1]):f}.0" if found[1] else found[0]
