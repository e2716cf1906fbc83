"""Whether a model can read a policy's phrases: words its vocabulary lacks, spells out, or nearly has."""

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from worker.domain.policy import Policy
from worker.domain.policy_lint import Finding

#: A word that takes more pieces a letter is spelt out: "xqzvt" takes 4 for 5. Of 1,255 ordinary words none
#: does with CLIP's vocabulary.
SPELT_OUT: Final = 0.6
#: From so many pieces on, a word near one of the vocabulary is taken for misspelt ...
MISSPELT_PIECES: Final = 3
#: ... if it is as near as difflib says. With CLIP's vocabulary that is one of 1,255 ordinary words (a proper
#: name), and 30 % of words with one wrong letter.
MISSPELT_CUTOFF: Final = 0.86
_SHORTEST_MISSPELT: Final = 5
_SHORTEST_SPELT_OUT: Final = 5
#: In other alphabets than the Latin one, whose words are in no English vocabulary.
_SHORTEST_FOREIGN: Final = 2
#: Letters with spaces between them: "g u n".
_SPACED_OUT: Final = re.compile(r"(?:\b[^\W\d_] ){2,}[^\W\d_]\b")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
#: Scripts in which a letter is a word or nearly one.
_DENSE_SCRIPTS: Final = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "KHMER", "LAO", "MYANMAR", "THAI", "YI")

#: A word, and the pieces in which the model reads it; an empty piece stands for nothing that it knows.
Pieces = Mapping[str, Sequence[str]]


def words_of(policy: Policy) -> list[str]:
    """Return every word of the policy's phrases and templates once."""
    texts = [*policy.phrases(), *(template.replace("{}", " ") for template in policy.templates)]
    return list(dict.fromkeys(word for text in texts for word in text.split()))


def lint_legibility(policy: Policy, pieces: Pieces, vocabulary: Collection[str]) -> list[Finding]:
    """Return what is to be said about words, phrase by phrase; `pieces` has every one of `words_of`."""
    reader = _Reader(policy, pieces, vocabulary)
    lists = [*policy.phrase_lists(), (("templates",), policy.templates)]
    return [finding for at, phrases in lists for phrase in phrases for finding in reader.findings(at, phrase)]


class _Reader:
    """Looks at phrase after phrase with the pieces of one model."""

    def __init__(self, policy: Policy, pieces: Pieces, vocabulary: Collection[str]) -> None:
        self._pieces = pieces
        known = {word for word in map(str.lower, words_of(policy)) if word in vocabulary}
        #: By first letter, which is seldom the wrong one; words of the policy before all others.
        self._known: Mapping[str, list[str]] = defaultdict(list)
        self._vocabulary = vocabulary
        for word in [*known, *(word for word in vocabulary if word not in known)]:
            if len(word) >= _SHORTEST_MISSPELT and word.isalpha():
                self._known[word[0]].append(word)

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
            word
            for word in words
            if len(word) >= _shortest_spelt_out(word) and len(self._pieces[word]) > SPELT_OUT * len(word)
        ]

    def _misspelt(self, at: tuple[str, ...], phrase: str, words: Sequence[str]) -> Iterator[Finding]:
        for word in words:
            meant = self._meant(word.strip(".,;:!?()").lower(), len(self._pieces[word]))
            if meant:
                yield Finding(
                    at,
                    phrase,
                    f'the model has no word for "{word}", and one for "{meant}"',
                    f'did you mean "{meant}"? If not, see what it finds: moderate policy hunt "{phrase}"',
                )

    def _meant(self, word: str, pieces: int) -> str:
        if pieces < MISSPELT_PIECES or not word.isalpha() or word in self._vocabulary:
            return ""
        # Not another form of the word: cigarette, cigarettes.
        near = [
            known
            for known in self._known.get(word[0], ())
            if abs(len(known) - len(word)) <= 1 and not known.startswith(word) and not word.startswith(known)
        ]
        return next(iter(get_close_matches(word, near, n=1, cutoff=MISSPELT_CUTOFF)), "")


def _shortest_spelt_out(word: str) -> float:
    """Return the length from which on a word in single letters counts as unknown to the model."""
    script = unicodedata.name(word[0], "")
    if not _LETTERS.fullmatch(word) or script.startswith(_DENSE_SCRIPTS):
        return math.inf
    return _SHORTEST_SPELT_OUT if script.startswith("LATIN") else _SHORTEST_FOREIGN


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in dict.fromkeys(words))
