"""A world of things for tests of suggestions: each thing has an axis, phrases name axes, pictures show some."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from worker.domain.evaluation.suggesting.sample import FALSE, RIGHT, UNKNOWN, Sample
from worker.domain.evaluation.suggesting.suggest import Suggest, Uploads
from worker.domain.evaluation.suggesting.suggestions import Suggestions
from worker.domain.moderation.scoring import Matrix, PhraseVectors
from worker.domain.policies.policy import Policy

#: Phrases are these words; "anything" is a little like all of them.
THINGS = ("gun", "drill", "cat", "dog", "tree", "pen", "bong", "vase", "anything")
SCALE = 20.0


def phrase_vectors(**mixed: Sequence[str]) -> PhraseVectors:
    """Return the vectors of the things, and of more words that each lie between two or more of them."""
    matrix = np.eye(len(THINGS), dtype=np.float32)
    matrix[-1] = 1
    rows = [
        *matrix,
        *(matrix[[THINGS.index(name) for name in names]].sum(axis=0) for names in mixed.values()),
    ]
    return PhraseVectors.of([*THINGS, *mixed], unit(np.stack(rows)))


def unit(matrix: Matrix) -> Matrix:
    """Return vectors of length 1."""
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def sample_of(
    policy: Policy,
    shown: Sequence[str],
    labels: Sequence[str | None],
    *,
    weights: Sequence[float] | None = None,
    seed: int = 1,
) -> Sample:
    """Return pictures of one thing each; `labels` are what a verdict says of each, "" for none, None for unknown.

    Every second picture is held out.
    """
    random = np.random.default_rng(seed)
    things = np.eye(len(THINGS))[[THINGS.index(thing) for thing in shown]]
    vectors = unit(things + 0.05 * random.normal(size=things.shape))
    names = [label.name for label in policy.labels]
    truth = [
        [UNKNOWN if one is None else RIGHT if one == name else FALSE for name in names] for one in labels
    ]
    return Sample(
        submission_ids=[f"upload-{n}" for n in range(len(shown))],
        sha256s=[sha256(b"%d" % n).hexdigest()[:-1] + "01"[n % 2] for n in range(len(shown))],
        views=np.ones(len(shown), np.intp),
        vectors=vectors.astype(np.float16),
        truth=np.array(truth, np.int8).reshape(len(shown), len(names)),
        weights=np.array(weights if weights is not None else [1.0] * len(shown)),
        drawn=np.ones(len(shown), np.bool_),
    )


def suggestions(  # noqa: PLR0913 - what differs from test to test
    policy: Policy,
    sample: Sample,
    *,
    nouns: Sequence[str] = THINGS[:-1],
    vectors: PhraseVectors | None = None,
    flagged: Sequence[int] = (),
    most: int = 10,
) -> Suggestions:
    """Return what is suggested; `flagged` are the uploads that each label flags, none by default."""
    counts = np.array(flagged or [0] * len(policy.labels), np.intp)
    suggest = Suggest(policy, vectors or phrase_vectors(), nouns, SCALE)
    return suggest(sample, Uploads(len(sample.views), counts), most)
