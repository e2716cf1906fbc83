"""What a text adds to the scores of a picture: never below the picture's own score, never up to a block."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: What a word of the label adds to its logit.
WORD_LOGIT: Final = 2.0

#: Differences below this are rounding.
_SLIGHT: Final = 1e-9

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TextPart:
    """What a text added to the score of one label."""

    #: To the logit, after the cap.
    added: float
    #: The score of the picture alone, 0 to 1.
    alone: float
    #: What its meaning would add to the logit, before the cap.
    meaning: float = 0.0
    #: The label's word that the text contains; empty if there is none.
    word: str = ""
    #: Whether the score stays below `block` although the text would add more.
    is_capped: bool = False

    @classmethod
    def recorded(cls, score: float, added: float) -> "TextPart | None":
        """Return the part of a recorded score; None if the text added nothing."""
        if not added:
            return None
        alone = score if score in {0.0, 1.0} else float(sigmoid(np.array(_logit(score) - added)))
        return cls(added, alone)

    def __str__(self) -> str:
        """Say what the text adds, and by what, for a decision's reason; it never quotes the text."""
        parts = [f'the word "{self.word}"'] if self.word else []
        parts += ["its meaning"] if self.meaning > _SLIGHT else []
        why = f" ({' and '.join(parts)})" if parts else ""
        limit = ", and no text alone reaches block" if self.is_capped else ""
        return f"its text adds {self.added:.1f}{why}{limit}"


@dataclass(frozen=True, slots=True)
class Additions:
    """What a text adds to the logit of each label, in the policy's order, before the cap below `block`."""

    #: By likeness to the label's prompts, shape (labels,), none negative.
    meaning: Numbers
    #: For each label, the first of its words that the text contains; empty if there is none.
    words: tuple[str, ...]

    @property
    def logits(self) -> Numbers:
        """Both parts, shape (labels,), none negative."""
        found = np.array([bool(word) for word in self.words], np.float64)
        logits: Numbers = self.meaning + WORD_LOGIT * found
        return logits

    def part(self, number: int, logit: float, block: float) -> TextPart | None:
        """Return what is added to one label, after the cap; None if that is nothing.

        `logit` is that of the picture alone, `block` the label's threshold, infinite for never.
        """
        meaning, word = float(self.meaning[number]), self.words[number]
        added = meaning + WORD_LOGIT * bool(word)
        alone, with_text = sigmoid(np.array([logit, logit + added])).tolist()
        is_capped = alone < block <= with_text
        if is_capped:
            added = _logit(block) - logit if block < 1 else added
        return TextPart(added, alone, meaning, word, is_capped) if added > 0 else None


def capped(alone: Numbers, with_text: Numbers, blocks: Numbers) -> Numbers:
    """Return scores with a text: never below those of the picture alone, and no block by the text alone.

    `alone` and `with_text` are scores from 0 to 1, `blocks` the thresholds of their labels, infinite for
    never; shapes that fit together.
    """
    lifted = (alone < blocks) & (with_text >= blocks)
    found: Numbers = np.maximum(np.where(lifted, np.nextafter(blocks, 0.0), with_text), alone)
    return found


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) of each number, without overflow for large negative ones."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _logit(score: float) -> float:
    return math.log(score / (1 - score))
