"""Lint for words that a model cannot read: missing from its vocabulary, spelt out, or misspelt."""

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from itertools import groupby
from typing import Final

from worker.domain.evaluation.policy_lint import Finding
from worker.domain.policies.policy import Policy

#: A word with more pieces a letter than this is spelt out: "xqzvt" has 4 pieces for 5 letters. Of 1,255
#: ordinary words, CLIP's vocabulary spells out none.
SPELT_OUT: Final = 0.6
#: From this number of pieces on, a word near one of the vocabulary counts as misspelt if difflib's ratio
#: reaches the cutoff. From two pieces on, it does if the slip is no plain substitution of a letter: of 1,089
#: ordinary words that are two with a model of photographs, and five with the bundled one.
MISSPELT_PIECES: Final = 3
MISSPELT_CUTOFF: Final = 0.86
HALF_SPELT_OUT: Final = 0.5
_SHORTEST_STEM: Final = 3
_SHORTEST_MISSPELT: Final = 5
#: Last letters of inflected forms.
_ENDINGS: Final = "sdrygn"
_PUNCTUATION: Final = ".,;:!?()"
_SHORTEST_SPELT_OUT: Final = 5
#: For other alphabets than the Latin one: an English vocabulary has none of their words.
_SHORTEST_FOREIGN: Final = 2
#: Letters with spaces between them: "g u n".
_SPACED_OUT: Final = re.compile(r"(?:\b[^\W\d_] ){2,}[^\W\d_]\b")
#: Scripts in which a single letter can be a word.
_DENSE_SCRIPTS: Final = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "KHMER", "LAO", "MYANMAR", "THAI", "YI")

#: Words and the tokens that the model splits them into; an empty token is one it does not know.
Pieces = Mapping[str, Sequence[str]]


def words_of(policy: Policy) -> list[str]:
    """Return each word of the policy's phrases and templates once, and the runs of letters in it."""
    texts = [*policy.phrases(), *(template.replace("{}", " ") for template in policy.templates)]
    words = [word for text in texts for word in text.split()]
    return list(dict.fromkeys(part for word in words for part in (word, *_parts(word))))


def lint_legibility(policy: Policy, pieces: Pieces, vocabulary: Collection[str]) -> list[Finding]:
    """Return the findings about words, phrase by phrase; `pieces` must have every word of `words_of`."""
    checker = _PhraseChecker(policy, pieces, vocabulary)
    lists = [*policy.phrase_lists(), (("templates",), policy.templates)]
    return [
        finding for at, phrases in lists for phrase in phrases for finding in checker.findings(at, phrase)
    ]


class _PhraseChecker:
    """Checks phrases against the vocabulary of one model."""

    def __init__(self, policy: Policy, pieces: Pieces, vocabulary: Collection[str]) -> None:
        self._pieces = pieces
        self._vocabulary = vocabulary
        own = {word for word in map(str.lower, words_of(policy)) if word in vocabulary}
        self._own = _Slips(own)
        self._others = _Slips(vocabulary)
        #: Cached by word, since words repeat.
        self._meant = cache(self._look_up)

    def findings(self, at: tuple[str, ...], phrase: str) -> Iterator[Finding]:
        """Yield the gravest findings about a phrase, if there are any."""
        words = phrase.replace("{}", " ").split()
        if unread := [word for word in words if not all(self._pieces[word])]:
            yield Finding(
                at,
                phrase,
                f"the model cannot read {_listed(unread)}: its vocabulary lacks some of these characters",
                "say it in words that the model was trained on, with plain letters and quotes",
            )
        elif spelt := self._spelt_out(phrase, words):
            yield Finding(
                at,
                phrase,
                f"the model has no word for {_listed(spelt)} and reads single letters",
                "say it in words that the model was trained on",
            )
        else:
            yield from self._misspelt(at, phrase, words)

    def _spelt_out(self, phrase: str, words: Sequence[str]) -> list[str]:
        found = _SPACED_OUT.findall(phrase)
        return found + [
            run
            for word in words
            for run in _runs(word)
            if len(run) >= _shortest_spelt_out(run) and len(self._pieces[run]) > SPELT_OUT * len(run)
        ]

    def _misspelt(self, at: tuple[str, ...], phrase: str, words: Sequence[str]) -> Iterator[Finding]:
        parts = (part for word in words for part in _parts(word))
        for word in dict.fromkeys(parts):
            if meant := self._meant(word):
                yield Finding(
                    at,
                    phrase,
                    f'the model has no word for "{word}", and one for "{meant}"',
                    f'did you mean "{meant}"? If not, see what it finds: moderate policy hunt "{phrase}"',
                )

    def _look_up(self, written: str) -> str:
        """Return the word that was meant by a misspelt one; empty if it is not misspelt."""
        word, pieces = written.lower(), self._pieces.get(written, ())
        if word in self._vocabulary or len(pieces) < 2:
            return ""
        # A stem and an ending, such as "blow" and "ing", make an ordinary word.
        if len(pieces) > 2 or len(pieces[0]) < _SHORTEST_STEM or pieces[0] not in self._vocabulary:
            slips = [known for known in self._own.near(word) if _is_slip(word, known)]
            # Of the vocabulary, only if this word is half spelt out, or has exactly the same letters.
            slips += [
                known
                for known in self._others.near(word)
                if _is_slip(word, known)
                and (len(pieces) >= HALF_SPELT_OUT * len(word) or sorted(word) == sorted(known))
            ]
            if slips:
                return slips[0]
        if len(pieces) < MISSPELT_PIECES or not word.isalpha():
            return ""
        return next(iter(get_close_matches(word, self._others.near(word), n=1, cutoff=MISSPELT_CUTOFF)), "")


class _Slips:
    """Finds the words one edit away: a letter more, less or different, or two letters swapped.

    Words are indexed by what is left of them without one letter, so that no word is compared with all others.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words: Mapping[str, list[str]] = defaultdict(list)
        for word in words:
            if len(word) >= _SHORTEST_MISSPELT and word.isalpha():
                for rest in _rests(word):
                    self._words[rest].append(word)

    def near(self, word: str) -> list[str]:
        """Return the words near `word`, except its inflected forms: cigarette, cigarettes."""
        found = dict.fromkeys(known for rest in _rests(word) for known in self._words.get(rest, ()))
        return [known for known in found if known[0] == word[0] and not _is_other_form(word, known)]


def _rests(word: str) -> list[str]:
    return list(dict.fromkeys([word, *(word[:n] + word[n + 1 :] for n in range(len(word)))]))


def _is_other_form(word: str, known: str) -> bool:
    return word.startswith(known) or (known[: len(known) - 1] in {word, word[:-1]} and known[-1] in _ENDINGS)


def _is_slip(word: str, known: str) -> bool:
    """Whether a word has a letter more or less, two letters swapped, or a digit for a letter.

    Not a plain substitution: too many words differ from another word by one letter (power, poker).
    """
    return len(word) != len(known) or sorted(word) == sorted(known) or not word.isalpha()


def _parts(word: str) -> list[str]:
    """Return the words within a token between two spaces."""
    return [part for part in (_with_digits(word), *_runs(word)) if part]


def _runs(word: str) -> list[str]:
    """Return the runs of letters in a word, with their combining marks."""
    return ["".join(run) for is_letter, run in groupby(word, _is_letter) if is_letter]


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


def _with_digits(word: str) -> str:
    """Return a word of letters and digits without the punctuation around it; empty for other words."""
    inner = word.strip(_PUNCTUATION)
    return inner if inner.isalnum() and not inner.isalpha() and not inner.isdigit() else ""


def _shortest_spelt_out(word: str) -> float:
    """Return the least length at which a spelt-out word counts as unknown to the model."""
    script = unicodedata.name(word[0], "")
    if script.startswith(_DENSE_SCRIPTS):
        return math.inf
    return _SHORTEST_SPELT_OUT if script.startswith("LATIN") else _SHORTEST_FOREIGN


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in dict.fromkeys(words))
