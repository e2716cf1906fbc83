"""Encodes a policy's phrases: one vector for each, averaged over the templates (prompt ensembling)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worker.domain.moderation.scoring import PhraseVectors
from worker.domain.policies.policy import Policy
from worker.encoder.protocol import Encoder


@dataclass(frozen=True, slots=True)
class TooLong:
    """A phrase with more tokens than the model's window."""

    tokens: int
    window: int
    #: The template with which it is longest.
    template: str


def phrases_beyond_window(
    encoder: Encoder, phrases: Sequence[str], templates: Sequence[str]
) -> Mapping[str, TooLong]:
    """Return the phrases that exceed the text tower's window in any of the templates."""
    distinct = list(dict.fromkeys(phrases))
    counts = encoder.count_tokens([_filled(phrase, t) for phrase in distinct for t in templates])
    too_long = {}
    for number, phrase in enumerate(distinct):
        own = counts[number * len(templates) : (number + 1) * len(templates)]
        if max(own) > encoder.info.window:
            too_long[phrase] = TooLong(max(own), encoder.info.window, templates[own.index(max(own))])
    return too_long


def encode_policy(encoder: Encoder, policy: Policy) -> PhraseVectors:
    """Return the vectors of a policy's phrases, and of its neutral captions.

    Captions are encoded without a template, as the texts of submissions: they do not name a thing.
    """
    vectors = encode_phrases(encoder, list(policy.phrases()), policy.templates)
    return replace(vectors, captions=encoder.encode_texts(policy.neutral_captions))


def encode_phrases(encoder: Encoder, phrases: Sequence[str], templates: Sequence[str]) -> PhraseVectors:
    """Return one unit vector for each distinct phrase, in the order of first mention.

    A phrase's vector is the normalised mean of its unit vectors over the templates, with the phrase in place
    of `{}`, as in Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
    Supervision", section 3.1.4.
    """
    distinct = list(dict.fromkeys(phrases))
    texts = [_filled(phrase, template) for phrase in distinct for template in templates]
    vectors = encoder.encode_texts(texts).reshape(len(distinct), len(templates), encoder.info.dimension)
    means = vectors.mean(axis=1)
    return PhraseVectors.of(distinct, means / np.linalg.norm(means, axis=1, keepdims=True))


def _filled(phrase: str, template: str) -> str:
    return template.replace("{}", phrase)
