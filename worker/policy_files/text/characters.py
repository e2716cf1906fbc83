"""Finds invisible characters, and names characters as Unicode does."""

import re
import unicodedata
from typing import Final

from worker.policy_files.text.emoji import emoji_positions

#: Private use, formatting, and all separators but the space itself. Not the unassigned ones: on an older
#: Python they include newer emoji.
_CATEGORIES: Final = frozenset({"Cf", "Co", "Zl", "Zp", "Zs"})
#: Invisible characters of other categories: fillers, joiners, variation selectors and noncharacters.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2065\u2800\u3164\ufdd0-\ufdef\ufe00-\ufe0f"
    "\uffa0\ufff0-\ufff8\ufffe\uffff\U000e0000-\U000e0fff]"
)
#: The two joiners that shape the letters around them, and the scripts that need them.
_JOINERS: Final = "\u200c\u200d"
_JOINING_SCRIPTS: Final = frozenset(
    {"ARABIC", "BENGALI", "DEVANAGARI", "GUJARATI", "GURMUKHI", "KANNADA", "KHMER", "MALAYALAM"}
    | {"MONGOLIAN", "MYANMAR", "ORIYA", "SINHALA", "SYRIAC", "TAMIL", "TELUGU", "TIBETAN"}
)
#: Characters that are mistaken for a space, as the inside of a character class.
ODD_SPACES: Final = "\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u202a-\u202f\u205f-\u206f\u3000\ufeff"
_ODD_SPACE: Final = re.compile(f"[{ODD_SPACES}]")


def first_invisible(text: str) -> int | None:
    """Return the position of the first invisible character of `text`, or None."""
    if not any(map(_is_invisible, text)):
        return None
    in_emoji = emoji_positions(text)
    found = (n for n, c in enumerate(text) if _is_invisible(c) and n not in in_emoji and not _joins(text, n))
    return next(found, None)


def with_marks(text: str) -> str:
    """Return `text` with a replacement mark for each invisible character."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_invisible(c) else c for c in text)


def name_of(character: str) -> str:
    """Return Unicode's name of a character and its number."""
    return f"{unicodedata.name(character, 'a character without a name')} (U+{ord(character):04X})"


def is_odd_space(character: str) -> bool:
    """Whether a character looks like a space, or is invisible, but YAML does not accept it as a space."""
    return _ODD_SPACE.fullmatch(character) is not None


def _is_invisible(character: str) -> bool:
    if character == " ":
        return False
    return unicodedata.category(character) in _CATEGORIES or bool(_INVISIBLE.match(character))


def _joins(text: str, position: int) -> bool:
    """Whether the character is a joiner between two letters of a script that needs joiners."""
    around = text[position - 1 : position] + text[position + 1 : position + 2]
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in around}
    return text[position] in _JOINERS and len(around) > 1 and scripts <= _JOINING_SCRIPTS
