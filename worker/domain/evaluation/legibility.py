"""Whether a model can read a policy's phrases: words its vocabulary lacks, spells out, or nearly has."""

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

#: A word that takes more pieces a letter is spelt out: "xqzvt" takes 4 for 5. Of 1,255 ordinary words none
#: does with CLIP's vocabulary.
SPELT_OUT: Final = 0.6
#: From so many pieces on, a word near one of the vocabulary is taken for misspelt ...
MISSPELT_PIECES: Final = 3
#: ... if it is as near as difflib says. From two pieces on it is if no letter is just another one: of 1,089
#: ordinary words that is two with a model of photographs, and five with the bundled one.
MISSPELT_CUTOFF: Final = 0.86
HALF_SPELT_OUT: Final = 0.5
_SHORTEST_STEM: Final = 3
_SHORTEST_MISSPELT: Final = 5
#: What a word has at its end in another form.
_ENDINGS: Final = "sdrygn"
_PUNCTUATION: Final = ".,;:!?()"
_SHORTEST_SPELT_OUT: Final = 5
#: In other alphabets than the Latin one, whose words are in no English vocabulary.
_SHORTEST_FOREIGN: Final = 2
#: Letters with spaces between them: "g u n".
_SPACED_OUT: Final = re.compile(r"(?:\b[^\W\d_] ){2,}[^\W\d_]\b")
#: Scripts in which a letter is a word or nearly one.
_DENSE_SCRIPTS: Final = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "KHMER", "LAO", "MYANMAR", "THAI", "YI")

#: A word, and the pieces in which the model reads it; an empty piece stands for nothing that it knows.
Pieces = Mapping[str, Sequence[str]]


def words_of(policy: Policy) -> list[str]:
    """Return every word of the policy's phrases and templates once, and the runs of letters in each."""
    texts = [*policy.phrases(), *(template.replace("{}", " ") for template in policy.templates)]
    words = [word for text in texts for word in text.split()]
    return list(dict.fromkeys(part for word in words for part in (word, *_parts(word))))


def lint_legibility(policy: Policy, pieces: Pieces, vocabulary: Collection[str]) -> list[Finding]:
    """Return what is to be said about words, phrase by phrase; `pieces` has every one of `words_of`."""
    reader = _PhraseChecker(policy, pieces, vocabulary)
    lists = [*policy.phrase_lists(), (("templates",), policy.templates)]
    return [finding for at, phrases in lists for phrase in phrases for finding in reader.findings(at, phrase)]


class _PhraseChecker:
    """Looks at phrase after phrase with the pieces of one model."""

    def __init__(self, policy: Policy, pieces: Pieces, vocabulary: Collection[str]) -> None:
        self._pieces = pieces
        self._vocabulary = vocabulary
        own = {word for word in map(str.lower, words_of(policy)) if word in vocabulary}
        self._own = _Slips(own)
        self._others = _Slips(vocabulary)
        #: By word, since words come again.
        self._meant = cache(self._look_up)

    def findings(self, at: tuple[str, ...], phrase: str) -> Iterator[Finding]:
        """Yield the gravest thing to be said about a phrase, if there is any."""
        words = phrase.replace("{}", " ").split()
        if unread := [word for word in words if not all(self._pieces[word])]:
            yield Finding(
                at,
                phrase,
                f"the model cannot read {_listed(unread)}: its vocabulary has not all of these characters",
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
        """Return the word that is meant by a misspelt one; empty if it is none."""
        word, pieces = written.lower(), self._pieces.get(written, ())
        if word in self._vocabulary or len(pieces) < 2:
            return ""
        # A stem and an ending, as of "blow" and "ing", make an ordinary word.
        if len(pieces) > 2 or len(pieces[0]) < _SHORTEST_STEM or pieces[0] not in self._vocabulary:
            slips = [known for known in self._own.near(word) if _is_slip(word, known)]
            # Of all other words, only if this one is half spelt out, or has exactly the letters of that one.
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
    """Finds the words that are one slip away: with one letter more, less, or another, or two exchanged.

    Words are kept by what is left of them without one letter, so that none is compared with all others.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words: Mapping[str, list[str]] = defaultdict(list)
        for word in words:
            if len(word) >= _SHORTEST_MISSPELT and word.isalpha():
                for rest in _rests(word):
                    self._words[rest].append(word)

    def near(self, word: str) -> list[str]:
        """Return the words near one, but no other form of it: cigarette, cigarettes."""
        found = dict.fromkeys(known for rest in _rests(word) for known in self._words.get(rest, ()))
        return [known for known in found if known[0] == word[0] and not _is_other_form(word, known)]


def _rests(word: str) -> list[str]:
    return list(dict.fromkeys([word, *(word[:n] + word[n + 1 :] for n in range(len(word)))]))


def _is_other_form(word: str, known: str) -> bool:
    return word.startswith(known) or (known[: len(known) - 1] in {word, word[:-1]} and known[-1] in _ENDINGS)


def _is_slip(word: str, known: str) -> bool:
    """Return whether a word has a letter more or less, two exchanged, or a digit in the place of one.

    One letter in the place of another makes too many words of words: power, poker.
    """
    return len(word) != len(known) or sorted(word) == sorted(known) or not word.isalpha()


def _parts(word: str) -> list[str]:
    """Return what may be a word by itself in what stands between two spaces."""
    return [part for part in (_with_digits(word), *_runs(word)) if part]


def _runs(word: str) -> list[str]:
    """Return the letters of a word that stand together, with their marks."""
    return ["".join(run) for is_letter, run in groupby(word, _is_letter) if is_letter]


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


def _with_digits(word: str) -> str:
    """Return a word without what stands around it if there are digits among its letters; else nothing."""
    inner = word.strip(_PUNCTUATION)
    return inner if inner.isalnum() and not inner.isalpha() and not inner.isdigit() else ""


def _shortest_spelt_out(word: str) -> float:
    """Return the length from which on a word in single letters counts as unknown to the model."""
    script = unicodedata.name(word[0], "")
    if script.startswith(_DENSE_SCRIPTS):
        return math.inf
    return _SHORTEST_SPELT_OUT if script.startswith("LATIN") else _SHORTEST_FOREIGN


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in dict.fromkeys(words))
