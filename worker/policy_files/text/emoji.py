"""Finds emoji sequences, whose selectors, joiners and tags are invisible but valid."""

from typing import Final

import regex

_SELECTOR: Final = "[\ufe0e\ufe0f]"
#: As in Unicode's UTS #51: a keycap, a tag flag such as England's, or a pictograph with its selector and skin
#: tone. ZERO WIDTH JOINER combines several into one, such as a family.
_ONE: Final = (
    rf"(?:[0-9#*]{_SELECTOR}\u20e3"
    r"|\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f"
    rf"|\p{{Extended_Pictographic}}{_SELECTOR}?+\p{{Emoji_Modifier}}?+{_SELECTOR}?+)"
)
_SEQUENCE: Final = regex.compile(rf"{_ONE}(?:\u200d{_ONE})*+")
#: Characters that are invisible on their own.
_GLUE: Final = regex.compile(r"[\u200d\ufe0e\ufe0f\U000e0020-\U000e007f]")


def without_emoji_glue(text: str) -> str:
    """Return the text with its emoji reduced to visible characters, as models were trained on them."""
    return str(_SEQUENCE.sub(lambda found: _GLUE.sub("", found[0]), text))


def emoji_positions(text: str) -> frozenset[int]:
    """Return the positions of all characters that belong to an emoji."""
    return frozenset(position for found in _SEQUENCE.finditer(text) for position in range(*found.span()))
