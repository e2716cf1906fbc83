"""Makes untrusted text safe to print: control and bidirectional characters become visible escapes.

A terminal executes control sequences: a file name could clear the screen, forge a line or hide a link.
"""

import json
import re
from typing import Any, Final

#: C0 and C1 controls except tab and newline, DEL, bidirectional controls, line separators, byte order marks,
#: and lone surrogates (the undecodable bytes of a file name).
UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return `text` with every unsafe character as an escape, such as \x1b; newlines and tabs stay."""
    return UNSAFE.sub(lambda found: escape(found[0]), text)


def one_line(text: str) -> str:
    r"""Return `text` as `printable` does, with newlines as \n, so that it stays on one line."""
    return printable(text).replace("\n", r"\n")


def printable_json(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as equivalent JSON without unsafe characters."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text)


def escape(character: str) -> str:
    """Return the escape of an unsafe character."""
    return ascii(character)[1:-1]
