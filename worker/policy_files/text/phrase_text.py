"""The text of a phrase as the model is given it: one spelling for what looks the same."""

import unicodedata
from collections.abc import Callable
from typing import Final

from worker.policy_files.text.emoji import without_emoji_glue

#: From a phrase as it is written to the phrase as it is read.
Spelling = Callable[[str], str]

#: Quotes that NFKC would take to pieces: an accent on a space, two single ones.
_QUOTES: Final = str.maketrans(
    {"\u00b4": "'", "\u0384": "'", "\u1ffd": "'", "\u02dd": '"', "\u2033": '"', "\u2036": '"'}
)


def normalised(phrase: str) -> str:
    """Return the phrase in Unicode's form NFKC, its white space made single.

    Full-width letters, ligatures and mathematical letters become plain ones, and a letter with a separate
    accent becomes one character: models were trained on those. Of emoji what shows is left.
    """
    return single_spaced(unicodedata.normalize("NFKC", without_emoji_glue(phrase).translate(_QUOTES)))


def single_spaced(phrase: str) -> str:
    """Return the phrase with its white space made single: all that was done before policies were in NFKC."""
    return " ".join(phrase.split())
