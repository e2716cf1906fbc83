"""Normalises the text of a phrase for the model: one spelling for what looks the same."""

import unicodedata
from collections.abc import Callable
from typing import Final

from worker.policy_files.text.emoji import without_emoji_glue

#: From a phrase as it is written to its normalised spelling.
Spelling = Callable[[str], str]

#: Quotes that NFKC would decompose: into an accent on a space, or two single quotes.
_QUOTES: Final = str.maketrans(
    {"\u00b4": "'", "\u0384": "'", "\u1ffd": "'", "\u02dd": '"', "\u2033": '"', "\u2036": '"'}
)


def normalised(phrase: str) -> str:
    """Return the phrase in NFKC, with single spaces.

    Full-width letters, ligatures and mathematical letters become plain ones, and a letter with a separate
    accent becomes one character: models were trained on those. Emoji keep their visible characters only.
    """
    return single_spaced(unicodedata.normalize("NFKC", without_emoji_glue(phrase).translate(_QUOTES)))


def single_spaced(phrase: str) -> str:
    """Return the phrase with single spaces: the only normalisation before NFKC was introduced."""
    return " ".join(phrase.split())
