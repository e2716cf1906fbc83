"""Names what pictures show by the nearest of some nouns, and what uploads show that no phrase names."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from worker.domain.evaluation.suggesting.candidates import Candidates
from worker.domain.evaluation.suggesting.sample import Sample
from worker.domain.evaluation.suggesting.suggestions import Look
from worker.domain.moderation.scoring import Matrix

#: Pictures that are clustered, at most, and how many make a cluster on average.
_CLUSTERED: Final = 4000
_PER_CLUSTER: Final = 25
_MOST_CLUSTERS: Final = 100
_NAMED: Final = 3


def looks_of(pictures: Matrix, usual: Matrix, candidates: Candidates, most: int = _NAMED) -> tuple[Look, ...]:
    """Return the nouns that describe some pictures best, the most frequent first.

    `pictures` and `usual` hold one vector a picture, shape (pictures, dimension). A noun describes a picture
    best if its cosine is furthest above the noun's mean cosine with `usual`, what is uploaded anyway: some
    nouns are near to everything.
    """
    if not len(pictures) or not len(candidates.phrases):
        return ()
    distinct = pictures @ candidates.matrix.T - candidates.matrix @ usual.mean(axis=0)
    counts = Counter(distinct.argmax(axis=1).tolist())
    return tuple(
        Look(candidates.phrases[column], count / len(pictures)) for column, count in counts.most_common(most)
    )


def unnamed(sample: Sample, candidates: Candidates, known: Matrix) -> tuple[Look, ...]:
    """Return the nouns that name clusters of uploads better than any phrase of the policy, largest first.

    `known` holds the vectors of the policy's phrases, shape (phrases, dimension): its background covers a
    cluster, or its prompts look for it.
    """
    pictures = first_views(sample, np.flatnonzero(sample.drawn)[:_CLUSTERED])
    allowed = candidates.only(
        [phrase for phrase, ok in zip(candidates.phrases, candidates.in_background, strict=True) if ok]
    )
    if len(pictures) < 2 * _PER_CLUSTER or not len(allowed.phrases):
        return ()
    centres, sizes = _clusters(pictures)
    cosines = centres @ allowed.matrix.T
    named = cosines.max(axis=1) > (centres @ known.T).max(axis=1)
    shares: Counter[str] = Counter()
    for column, size in zip(cosines[named].argmax(axis=1).tolist(), sizes[named].tolist(), strict=True):
        shares[allowed.phrases[column]] += size
    return tuple(Look(noun, size / len(pictures)) for noun, size in shares.most_common())


def first_views(sample: Sample, pictures: Sequence[int] | np.ndarray) -> Matrix:
    """Return the first vector of some pictures, shape (pictures, dimension)."""
    return sample.vectors[sample.firsts[pictures]].astype(np.float32)


def _clusters(pictures: Matrix) -> tuple[Matrix, np.ndarray]:
    """Return the centres of clusters, unit vectors, and how many pictures each has."""
    # It takes a second to import, and the other commands for policies do without it.
    from sklearn.cluster import MiniBatchKMeans  # noqa: PLC0415

    count = min(_MOST_CLUSTERS, max(2, len(pictures) // _PER_CLUSTER))
    # Random first centres: the usual ones take a pass for each cluster.
    found = MiniBatchKMeans(count, init="random", n_init=3, random_state=0).fit(pictures)
    centres = found.cluster_centers_.astype(np.float32)
    lengths = np.linalg.norm(centres, axis=1, keepdims=True)
    sizes = np.bincount(found.labels_, minlength=count)
    return centres / np.maximum(lengths, 1e-6), sizes
