"""Finds whole words in a text, in any script: "AK-47" is in "cheap ak_47.jpg", "gun" is not in "begun".

A text becomes a sequence of tokens, and a word is in it if its own tokens follow each other there. Letters,
digits and their marks make up a token; everything else separates tokens. In scripts that write no spaces each
character is a token of its own, and so is each symbol, such as an emoji.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

#: Thai, Lao, Tibetan, Myanmar, Khmer, Kana and Chinese characters.
_WITHOUT_SPACES: Final = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
#: Variation selectors: they choose how an emoji is drawn.
_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a character of a script without spaces, or a symbol."""

    #: Case-folded, in NFKC.
    folded: str
    #: Its place in `Tokens.text`.
    start: int
    end: int


@dataclass(frozen=True)
class Tokens:
    """A text in NFC, and its tokens."""

    text: str
    tokens: tuple[Token, ...]

    @cached_property
    def joined(self) -> str:
        """The tokens with a space before, between and after them; a single space if there are none."""
        return " ".join(("", *(token.folded for token in self.tokens), "")) if self.tokens else " "

    @classmethod
    def of(cls, text: str) -> "Tokens":
        """Return the tokens of a text."""
        text = unicodedata.normalize("NFC", text)
        return cls(text, tuple(_tokens(text)))


def is_word(text: str) -> bool:
    """Whether `text` has a letter, digit or symbol, so that it can be found in a text."""
    return bool(Tokens.of(text).tokens)


class Words:
    """Words to look for, in the order in which they are reported."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = [(word, Tokens.of(word).joined) for word in words]

    def first_in(self, tokens: Tokens) -> str:
        """Return the first of the words that the text contains, as it was given; empty if there is none."""
        return next((word for word, joined in self._words if joined in tokens.joined), "")

    def places_in(self, tokens: Tokens) -> list[tuple[int, int]]:
        """Return where the text contains any of the words: starts and ends, in order, none overlapping."""
        found = sorted(place for _, joined in self._words for place in _places(joined, tokens))
        return _merged(found)


def _places(joined: str, tokens: Tokens) -> Iterator[tuple[int, int]]:
    length = joined.count(" ") - 1
    position = tokens.joined.find(joined)
    while position >= 0:
        first = tokens.joined.count(" ", 0, position)
        yield tokens.tokens[first].start, tokens.tokens[first + length - 1].end
        position = tokens.joined.find(joined, position + 1)


def _merged(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in places:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _tokens(text: str) -> Iterator[Token]:
    letters, start, end = "", 0, 0
    for place, character in enumerate(text):
        for folded in _folded(character):
            kind = _kind(folded)
            if kind == "ignored":
                continue
            if kind == "letter":
                start = start if letters else place
                letters, end = letters + folded, place + 1
                continue
            if letters:
                yield Token(letters, start, end)
                letters = ""
            if kind == "alone":
                yield Token(folded, place, place + 1)
    if letters:
        yield Token(letters, start, end)


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    """Return what a character is compared as; folding may leave NFKC, so it is normalised twice."""
    # The Turkish capital I with a dot becomes a plain one, not one with a second dot.
    plain = unicodedata.normalize("NFKC", character).casefold().removesuffix("\u0307")
    return unicodedata.normalize("NFKC", plain)


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    """Return letter, alone, ignored or separator."""
    category = unicodedata.category(character)
    # Invisible characters inside a word would hide it.
    if category == "Cf" or _SELECTORS.match(character):
        return "ignored"
    if _WITHOUT_SPACES.match(character):
        return "alone" if category[0] in "LMN" else "separator"
    if category[0] in "LMN":
        return "letter"
    return "alone" if category == "So" else "separator"
