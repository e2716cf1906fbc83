"""Turns a policy's phrases into vectors, each averaged over the ways to say it."""

from collections.abc import Sequence

import numpy as np

from worker.domain.scoring import PhraseVectors
from worker.encoder.protocol import Encoder


def encode_phrases(encoder: Encoder, phrases: Sequence[str], templates: Sequence[str]) -> PhraseVectors:
    """Return one unit vector for each distinct phrase, in the order of first mention.

    A phrase's vector is the normalised mean of its unit vectors over the templates, `{}` standing for
    the phrase, as in Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
    Supervision", section 3.1.4.
    """
    distinct = list(dict.fromkeys(phrases))
    texts = [template.replace("{}", phrase) for phrase in distinct for template in templates]
    vectors = encoder.encode_texts(texts).reshape(len(distinct), len(templates), encoder.dimension)
    means = vectors.mean(axis=1)
    return PhraseVectors.of(distinct, means / np.linalg.norm(means, axis=1, keepdims=True))
