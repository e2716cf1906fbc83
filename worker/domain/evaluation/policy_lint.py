"""Lint for a policy's phrases, against each other and real uploads: valid, but hardly intended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from worker.domain.moderation.scoring import Matrix, PhraseVectors, Vector
from worker.domain.policies.policy import Label, Policy

#: From this cosine on, two prompts are the same to the model: "a wine glass" and "a glass of wine" are at
#: 0.99 in the bundled one, "a gun" and "a handgun" in a small one of photographs. Related phrases, such as
#: the nearest prompts of two labels of the shipped policies, stay below 0.91 in both.
SAME: Final = 0.97
#: From this cosine on, the model hardly distinguishes a harmless phrase from a prompt. The nearest lookalike
#: of the stickers is at 0.75 in the bundled model. In a small model of photographs the default policy has a
#: handful above it, such as "a fern" and "a cannabis plant": that model does not distinguish them.
INSIDE: Final = 0.9
#: From this cosine on, two phrases have collapsed: the model does not distinguish them at all. Of the shipped
#: policies and ImageNet's thousand names, the nearest two are at 0.9987 in a small model of photographs.
COLLAPSED: Final = 0.9995
#: From this correlation on, a phrase behaves like random letters on the archive. Names of things that two
#: models know are below 0.67 (76 stickers in the bundled one, 998 of ImageNet in one of photographs); a third
#: of other random strings are above it.
NOISE: Final = 0.7
#: With fewer pictures, a background phrase that is never the nearest is no evidence.
MIN_PICTURES: Final = 200
#: At most this number of collapsed phrases are named.
_SHOWN: Final = 5
#: Rows of the phrase matrix that are compared at once.
_BLOCK: Final = 256
_SET_APART: Final = "it can hide what the label looks for: say what sets it apart, or remove it"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the author of a policy should check."""

    #: The path in the policy: ("labels", "weapons", "prompts").
    at: tuple[str, ...]
    #: The phrase in the list there; empty if the finding is about the whole.
    phrase: str
    message: str
    hint: str


def lint_phrases(policy: Policy, vectors: PhraseVectors) -> list[Finding]:
    """Return the findings about phrases that need no pictures."""
    return [*_same_labels(policy, vectors), *_inside_labels(policy, vectors)]


def lint_collapsed(policy: Policy, vectors: PhraseVectors) -> list[Finding]:
    """Return a finding for each group of different phrases that collapse in the model."""
    places = _places(policy)
    phrases = list(places)
    return [
        _collapsed(places[phrases[number]], phrases[number], [phrases[other] for other in same])
        for number, same in _alike(phrases, vectors)
    ]


def lint_on_pictures(
    policy: Policy, vectors: PhraseVectors, pictures: Matrix, nonsense: Matrix | None = None
) -> list[Finding]:
    """Return the findings about the policy on uploaded pictures, embeddings of shape (pictures, dimension).

    `nonsense` holds the vectors of meaningless strings, shape (strings, dimension). Empty if there are fewer
    than MIN_PICTURES pictures.
    """
    if len(pictures) < MIN_PICTURES:
        return []
    cosines = vectors.cosines(pictures)
    noise = [] if nonsense is None else _noise(policy, vectors, pictures, nonsense)
    return [
        *_idle_background(policy, vectors, cosines),
        *_labels_on_everything(policy, vectors, cosines),
        *noise,
    ]


def _places(policy: Policy) -> dict[str, tuple[str, ...]]:
    """Return every phrase with the first list that contains it."""
    places: dict[str, tuple[str, ...]] = {}
    for at, phrases in policy.phrase_lists():
        for phrase in phrases:
            places.setdefault(phrase, at)
    return places


def _alike(phrases: Sequence[str], vectors: PhraseVectors) -> Iterator[tuple[int, list[int]]]:
    """Yield each phrase and the later ones that collapse with it, each once; case is ignored."""
    matrix = vectors.matrix[[vectors.index[phrase] for phrase in phrases]]
    seen = np.zeros(len(phrases), np.bool_)
    for start in range(0, len(phrases), _BLOCK):
        near = matrix[start : start + _BLOCK] @ matrix.T >= COLLAPSED
        for number, row in enumerate(near, start):
            if seen[number]:
                continue
            later = [int(other) for other in np.flatnonzero(row) if other > number]
            seen[later] = True
            same = [other for other in later if phrases[other].casefold() != phrases[number].casefold()]
            if same:
                yield number, same


def _collapsed(at: tuple[str, ...], phrase: str, same: Sequence[str]) -> Finding:
    shown = ", ".join(f'"{other}"' for other in same[:_SHOWN])
    more = f" and {len(same) - _SHOWN} more" if len(same) > _SHOWN else ""
    return Finding(
        at,
        phrase,
        f'"{phrase}" is one and the same to the model as {shown}{more}',
        "it does not read what sets them apart: say it in other words",
    )


def _noise(policy: Policy, vectors: PhraseVectors, pictures: Matrix, nonsense: Matrix) -> Iterator[Finding]:
    """Yield the phrases whose similarity to the pictures follows the pattern of nonsense.

    The measure is the correlation, over the pictures, of a phrase's cosines with the mean of the nonsense's.
    A phrase whose thing was never uploaded has low cosines too, but in a different pattern.
    """
    centred = pictures - pictures.mean(axis=0)
    pattern = _unit(centred @ nonsense.mean(axis=0))
    for phrase, at in _places(policy).items():
        correlation = float(_unit(centred @ vectors.matrix[vectors.index[phrase]]) @ pattern)
        if correlation >= NOISE:
            yield Finding(
                at,
                phrase,
                f'to the model "{phrase}" is like random letters on the newest {len(pictures):,} pictures '
                f"(correlation {correlation:.2f})",
                "it may not know these words: see what `moderate policy hunt` finds, or say it otherwise",
            )


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


def _same_labels(policy: Policy, vectors: PhraseVectors) -> Iterator[Finding]:
    """Yield the most similar prompts of each two labels if their vectors are nearly the same."""
    for first, second in combinations(policy.labels, 2):
        cosines = _between(vectors, second.prompts, first.prompts)
        mine, other = np.unravel_index(int(cosines.argmax()), cosines.shape)
        if cosines[mine, other] >= SAME:
            yield Finding(
                ("labels", second.name, "prompts"),
                second.prompts[mine],
                f'"{second.prompts[mine]}" of label {second.name} and "{first.prompts[other]}" of label '
                f"{first.name} are nearly the same to the model (cosine {cosines[mine, other]:.2f})",
                "both labels will be flagged together: keep the phrase in one, or make them one label",
            )


def _inside_labels(policy: Policy, vectors: PhraseVectors) -> Iterator[Finding]:
    for phrase in policy.background:
        inside = [found for label in policy.labels if (found := _inside(label, phrase, vectors))]
        if inside:
            nearest = max(inside, key=lambda found: found.cosine)
            others = ", ".join(found.label for found in inside if found is not nearest)
            more = f"; also inside {others}" if others else ""
            message = f'the background phrase "{phrase}" sits inside {nearest}{more}'
            yield Finding(("background",), phrase, message, _SET_APART)
    for label in policy.labels:
        for phrase in label.lookalikes:
            if found := _inside(label, phrase, vectors):
                message = f'the lookalike "{phrase}" sits inside {found}'
                yield Finding(("labels", label.name, "lookalikes"), phrase, message, _SET_APART)


@dataclass(frozen=True, slots=True)
class _Inside:
    """The prompt of a label that a harmless phrase is nearly the same as."""

    label: str
    prompt: str
    cosine: float

    def __str__(self) -> str:
        return f'label {self.label}: to the model it is nearly "{self.prompt}" (cosine {self.cosine:.2f})'


def _inside(label: Label, phrase: str, vectors: PhraseVectors) -> _Inside | None:
    """Return the nearest prompt if a harmless phrase is inside the label.

    It is inside if its cosine with a prompt is at least INSIDE, and larger than that of every other prompt of
    the label with this prompt. If a label has one prompt, INSIDE alone decides.
    """
    cosines = _between(vectors, [phrase], label.prompts)[0]
    nearest = int(cosines.argmax())
    prompt, cosine = label.prompts[nearest], float(cosines[nearest])
    siblings = [other for other in label.prompts if other != prompt]
    closest = _between(vectors, [prompt], siblings).max(initial=-1.0)
    return _Inside(label.name, prompt, cosine) if cosine >= INSIDE and cosine > closest else None


def _idle_background(policy: Policy, vectors: PhraseVectors, cosines: Matrix) -> Iterator[Finding]:
    rows = [vectors.index[phrase] for phrase in policy.background]
    nearest = set(cosines[:, rows].argmax(axis=1).tolist())
    for number, phrase in enumerate(policy.background):
        if number not in nearest:
            yield Finding(
                ("background",),
                phrase,
                f'the background phrase "{phrase}" is the nearest one on none of the newest '
                f"{len(cosines):,} pictures",
                "say what is uploaded here instead, or remove it",
            )


def _labels_on_everything(policy: Policy, vectors: PhraseVectors, cosines: Matrix) -> Iterator[Finding]:
    for label in policy.labels:
        prompts = [vectors.index[phrase] for phrase in label.prompts]
        others = [vectors.index[phrase] for phrase in policy.background + label.lookalikes]
        if (cosines[:, prompts].max(axis=1) >= cosines[:, others].max(axis=1)).all():
            yield Finding(
                ("labels", label.name),
                "",
                f"on every one of the newest {len(cosines):,} pictures a prompt of label {label.name} is "
                "nearer than the background",
                "no background phrase ever beats it: say in the background what these pictures show",
            )


def _between(vectors: PhraseVectors, phrases: Sequence[str], others: Sequence[str]) -> Matrix:
    """Return the cosine of every phrase with every other one, shape (phrases, others)."""
    rows, columns = ([vectors.index[phrase] for phrase in group] for group in (phrases, others))
    return vectors.matrix[rows] @ vectors.matrix[columns].T
