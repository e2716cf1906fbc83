"""The text that came with a picture, cut into pieces, so that the page marks the policy's words in it."""

from dataclasses import dataclass

from worker.domain.moderation.caption import words_of
from worker.domain.moderation.words import Tokens
from worker.domain.policies.policy import Policy
from worker.printable import printable


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the text, safe to print; the template escapes it."""

    text: str
    #: Whether it is one of the policy's words.
    is_word: bool = False


def pieces(text: str, policy: Policy | None) -> list[Piece]:
    """Return the pieces of a text, in order; marks nothing if the policy is unknown, or reads no texts."""
    tokens, found, end = Tokens.of(text), [], 0
    words = words_of(policy.labels if policy and policy.captions else ())
    for start, stop in words.places_in(tokens):
        found += [Piece(tokens.text[end:start]), Piece(tokens.text[start:stop], is_word=True)]
        end = stop
    found.append(Piece(tokens.text[end:]))
    return [Piece(printable(piece.text), piece.is_word) for piece in found if piece.text]
