"""Finds letters of another alphabet that look like their neighbours': a Cyrillic one in "weapons"."""

import re
import unicodedata
from collections import Counter
from typing import Final

#: Alphabets with many letters that look alike. A word may use only one of them.
_ALPHABETS: Final = frozenset({"LATIN", "CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "CHEROKEE"})
_WORD: Final = re.compile(r"[^\W\d_]+")
#: Greek letters that look like no Latin one and are used beside Latin ones as symbols: kΩ, Δt.
_SIGNS: Final = frozenset("ΓΔΘΛΞΠΣΦΨΩδθλξπφψ")
#: Before a unit or a word: µm, µTorrent. Unicode has two, and NFKC turns the first into the second.
_MICRO: Final = frozenset("\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}")


def foreign_letter(text: str) -> str:
    """Return the first letter whose word is mostly of another alphabet; empty if no word mixes two."""
    for word in _WORD.findall(text):
        alphabets = _alphabets(word)
        found = Counter(alphabet for alphabet in alphabets if alphabet)
        if len(found) > 1:
            main = found.most_common(1)[0][0]
            letters = zip(word, alphabets, strict=True)
            return next(str(letter) for letter, alphabet in letters if alphabet not in {"", main})
    return ""


def _alphabets(word: str) -> list[str]:
    """Return the alphabet of each letter; empty for other scripts, and for Greek symbols in Latin words."""
    alphabets = [_alphabet(letter) for letter in word]
    if set(alphabets) <= {"", "LATIN", "GREEK"}:
        return ["" if _is_sign(word, n) else alphabet for n, alphabet in enumerate(alphabets)]
    return alphabets


def _is_sign(word: str, position: int) -> bool:
    letter = word[position]
    return letter in _SIGNS or (position == 0 and letter in _MICRO)


def _alphabet(letter: str) -> str:
    name = unicodedata.name(letter, "").partition(" ")[0]
    return name if name in _ALPHABETS else ""
