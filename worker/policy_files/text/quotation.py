"""Finds quotes that became part of a phrase: YAML removes only plain " and '."""

import re
from typing import Final

_DOUBLE: Final = (
    '"\u201c\u201d\u201e\u201f\xab\xbb\u301d\u301e\u301f\u275d\u275e\u300c\u300d\u300e\u300f\u2033'
)
_SINGLE: Final = "'\u2018\u2019\u201a\u201b\u2039\u203a\u275b\u275c`\xb4\u2032"
#: Single quotes that only open, and so are no apostrophes.
_OPENING: Final = "\u2018\u201a\u2039"
_QUOTES: Final = _DOUBLE + _SINGLE
_PUNCTUATION: Final = ".,;:!?"
#: A unit, not a quote: a barrel of 5".
_MEASURE: Final = re.compile("\\d[\"'\u2032\u2033]$")


def quotes_around(phrase: str) -> str:
    """Return the quotes at both ends of a phrase, or the one at one end, or ""."""
    phrase = phrase.rstrip(_PUNCTUATION)
    first, inner, last = phrase[:1], phrase[1:-1], phrase[-1:]
    if not inner:
        return ""
    opens = first in _QUOTES
    closes = last in _QUOTES and not _MEASURE.search(phrase)
    if opens and closes:
        return first + last
    # One quote alone: quoted text was split at a comma. An apostrophe does not count.
    if any(quote in inner for quote in _DOUBLE):
        return ""
    if opens and first in _DOUBLE + _OPENING:
        return first
    return last if closes and last in _DOUBLE else ""
