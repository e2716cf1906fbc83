"""What a policy learned from verdicts, and how it changes the logits of its labels."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.moderation.scoring import Logits, Matrix, Vector
from worker.domain.policies.policy import Label, Policy
from worker.errors import InvalidLearnedError

#: More examples of a label hardly improve it.
MAX_EXAMPLES: Final = 16
#: Pictures of the archive with which examples are compared.
ARCHIVE_SIZE: Final = 800
#: How many pictures of the archive count as the nearest; the very nearest may be the picture itself.
_NEAREST: Final = 5
#: The share of the scale with which many examples count.
_FULL_WEIGHT: Final = 0.5
#: Up to this many views belong to one picture; more are a back-test, which has the processors to itself.
_FEW: Final = 64
_MAGIC: Final = b"moderation learned state 1\n"
_HALF: Final = np.dtype("<f2")
_SINGLE: Final = np.dtype("<f4")


@dataclass(frozen=True, slots=True, eq=False)
class LearnedLabel:
    """What was learned about one label: `logit = slope * (base + examples) + intercept + weights . z`.

    `z` is the embedding, standardised on the archive. Slope, intercept and weights hold a head and its
    calibration. They belong to the phrases that they were learned with; examples do not.
    """

    #: `contest_digest` of the label when it was learned.
    contest: str
    #: Unit vectors of pictures that show the label, at most MAX_EXAMPLES, shape (examples, dimension).
    examples: Matrix
    slope: float = 1.0
    intercept: float = 0.0
    #: Shape (dimension,); None if no head was learned.
    weights: Vector | None = None

    @property
    def example_weight(self) -> float:
        """The share of the scale with which the examples count: it grows with their number."""
        count = len(self.examples)
        return _FULL_WEIGHT * count / (count + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """Centre and spread of the archive's embeddings."""

    #: Shape (dimension,).
    mean: Vector
    #: Square root of the mean variance of a component.
    spread: float

    @classmethod
    def of(cls, archive: Matrix) -> "Standard":
        """Measure the archive, shape (pictures, dimension)."""
        spread = float(np.sqrt(archive.astype(np.float64).var(axis=0).mean()))
        return cls(archive.mean(axis=0, dtype=np.float64).astype(np.float32), spread or 1.0)

    def __call__(self, embedding: Matrix) -> Matrix:
        """Standardise vectors, shape (views, dimension): their length is about 1 for an ordinary picture."""
        dimension = embedding.shape[1]
        standardised: Matrix = (embedding - self.mean) / np.float32(self.spread * np.sqrt(dimension))
        return standardised


@dataclass(frozen=True, eq=False)
class Learned:
    """What a policy learned, for one model."""

    #: Digest of all that vectors depend on; with other vectors it means nothing.
    model_digest: str
    #: Vectors of recent uploads, shape (pictures, dimension), frozen with the state: cosines between pictures
    #: differ from model to model, so an example counts as near only beside them.
    archive: Matrix
    labels: Mapping[str, LearnedLabel]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @cached_property
    def standard(self) -> Standard:
        """Centre and spread of the archive."""
        return Standard.of(self.archive)

    def to_bytes(self) -> bytes:
        """Return it for storage: a line, a header in JSON with its length, then the vectors."""
        parts, described = [self.archive.astype(_HALF).tobytes()], []
        for name, label in sorted(self.labels.items()):
            parts.append(label.examples.astype(_HALF).tobytes())
            if label.weights is not None:
                parts.append(label.weights.astype(_SINGLE).tobytes())
            described.append(
                {
                    "name": name,
                    "contest": label.contest,
                    "examples": len(label.examples),
                    "slope": label.slope,
                    "intercept": label.intercept,
                    "has_weights": label.weights is not None,
                }
            )
        header = {
            "model_digest": self.model_digest,
            "dimension": self.archive.shape[1],
            "archive": len(self.archive),
            "labels": described,
        }
        text = json.dumps(header, sort_keys=True).encode()
        return b"".join([_MAGIC, len(text).to_bytes(4, "big"), text, *parts])

    @classmethod
    def from_bytes(cls, data: bytes) -> "Learned":
        """Return what `to_bytes` stored; InvalidLearnedError if it is damaged, or of a later version."""
        try:
            return _read(data)
        except (ValueError, KeyError, TypeError) as problem:
            raise InvalidLearnedError(
                f"a learned state cannot be read: {problem}",
                hint="take it back: moderate policy learn POLICY --take-back",
            ) from problem


class Adjustment:
    """Changes the logits of a policy's labels by what it learned; prepares once what no picture changes."""

    def __init__(self, policy: Policy, learned: Learned) -> None:
        self._learned = learned
        #: The label's place in the policy, and what was learned about it.
        self._labels = [
            (place, _still_valid(policy, label, learned.labels[label.name]))
            for place, label in enumerate(policy.labels)
            if label.name in learned.labels
        ]

    def __call__(self, logits: Logits, embedding: Matrix, scale: float) -> Logits:
        """Return the logits in the light of what was learned, shape (views, labels).

        `logits` are those of the phrases, shape (views, labels); `embedding` has shape (views, dimension).
        """
        adjusted = logits.copy()
        near = nearest(embedding, self._learned.archive)
        standardised = self._learned.standard(embedding)
        for place, label in self._labels:
            adjusted[:, place] = learned_logit(logits[:, place], embedding, near, standardised, label, scale)
        return adjusted


def learned_logit(  # noqa: PLR0913, PLR0917 - the terms of one formula
    base: NDArray[np.float64],
    embedding: Matrix,
    near: NDArray[np.float64],
    standardised: Matrix,
    label: LearnedLabel,
    scale: float,
) -> NDArray[np.float64]:
    """Return a label's logit in each view, shape (views,); `near` is that of `nearest`."""
    logit = base
    if len(label.examples):
        likeness = _cosines(embedding, label.examples).max(axis=1).astype(np.float64)
        logit = logit + label.example_weight * scale * (likeness - near)
    logit = label.slope * logit + label.intercept
    if label.weights is not None:
        logit = logit + np.vecdot(standardised, label.weights).astype(np.float64)
    return logit


def nearest(embedding: Matrix, archive: Matrix) -> NDArray[np.float64]:
    """Return the mean cosine of each view with the archive's nearest pictures but one, shape (views,)."""
    cosines = _cosines(embedding, archive)
    count = min(_NEAREST, max(1, cosines.shape[1] - 1))
    highest = -np.partition(-cosines, min(count, cosines.shape[1] - 1), axis=1)[:, : count + 1]
    ordered = -np.sort(-highest, axis=1)
    others = ordered[:, 1:] if ordered.shape[1] > 1 else ordered
    near: NDArray[np.float64] = others.mean(axis=1, dtype=np.float64)
    return near


def contest_digest(policy: Policy, label: Label) -> str:
    """Return the SHA-256 of all phrases that a label's logit depends on."""
    contest = [policy.scoring, policy.templates, sorted(policy.background), label.prompts, label.lookalikes]
    return hashlib.sha256(json.dumps(contest, ensure_ascii=False).encode()).hexdigest()


def _still_valid(policy: Policy, label: Label, learned: LearnedLabel) -> LearnedLabel:
    """Return what still applies: with other phrases, only the examples."""
    if learned.contest == contest_digest(policy, label):
        return learned
    return LearnedLabel(learned.contest, learned.examples)


def _cosines(embedding: Matrix, vectors: Matrix) -> Matrix:
    """Return the cosine of every view with every vector, shape (views, vectors)."""
    if len(embedding) > _FEW:
        product: Matrix = embedding @ vectors.T
        return product
    # Not a matrix product: BLAS threads would compete with the model's.
    cosines: Matrix = np.vecdot(embedding[:, None], vectors[None])
    return cosines


def _read(data: bytes) -> Learned:
    if not data.startswith(_MAGIC):
        raise ValueError("it begins otherwise")
    start = len(_MAGIC) + 4
    end = start + int.from_bytes(data[len(_MAGIC) : start], "big")
    header: Mapping[str, Any] = json.loads(data[start:end])
    vectors = _Vectors(data[end:], int(header["dimension"]))
    archive = vectors.take(int(header["archive"]), _HALF)
    labels = {str(one["name"]): _read_label(one, vectors) for one in header["labels"]}
    vectors.finish()
    return Learned(str(header["model_digest"]), archive, labels)


def _read_label(described: Mapping[str, Any], vectors: "_Vectors") -> LearnedLabel:
    examples = vectors.take(int(described["examples"]), _HALF)
    weights = vectors.take(1, _SINGLE)[0] if described["has_weights"] else None
    return LearnedLabel(
        str(described["contest"]),
        examples,
        float(described["slope"]),
        float(described["intercept"]),
        weights,
    )


class _Vectors:
    """Reads rows of vectors from bytes, one after the other."""

    def __init__(self, data: bytes, dimension: int) -> None:
        self._rest, self._dimension = memoryview(data), dimension

    def take(self, rows: int, dtype: np.dtype[Any]) -> Matrix:
        size = rows * self._dimension * dtype.itemsize
        if size > len(self._rest):
            raise ValueError("its end is missing")
        taken = np.frombuffer(self._rest[:size], dtype).reshape(rows, self._dimension)
        self._rest = self._rest[size:]
        matrix: Matrix = taken.astype(np.float32)
        if not np.isfinite(matrix).all():
            raise ValueError("it has numbers that are not finite")
        return matrix

    def finish(self) -> None:
        if len(self._rest):
            raise ValueError("there is more than it names")
