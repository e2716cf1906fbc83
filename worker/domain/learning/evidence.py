"""Evidence: what people's verdicts say about one label, on pictures whose embeddings are stored."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.moderation.learned import Standard, nearest
from worker.domain.moderation.scoring import Logits, Matrix

#: Below this number of verdicts, or this many of either answer, nothing is learned but examples.
LEAST_VERDICTS: Final = 25
LEAST_OF_A_KIND: Final = 3

Truth = NDArray[np.bool_]
Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """The sample of recent uploads beside which examples are compared."""

    #: Unit vectors, shape (pictures, dimension).
    vectors: Matrix
    standard: Standard
    #: The model's factor on cosines.
    scale: float

    @classmethod
    def of(cls, vectors: Matrix, scale: float) -> "Archive":
        """Measure the sample."""
        return cls(vectors, Standard.of(vectors), scale)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Pictures with a verdict, each by the view with the highest logit; arrays have a row for each."""

    #: The label's logits by its phrases.
    logits: Logits
    #: Unit vectors, shape (pictures, dimension).
    vectors: Matrix
    #: Whether people say that the label applies.
    truth: Truth
    #: 1 / probability of having been shown to a person, scaled to mean 1.
    weights: Weights
    #: The same number for the same bytes, so that copies are never on both sides of a fold.
    groups: NDArray[np.intp]
    #: As `learned.nearest` and `Standard` return them.
    near: NDArray[np.float64]
    standardised: Matrix

    @classmethod
    def of(  # noqa: PLR0913, PLR0917 - the columns of a table
        cls,
        logits: Logits,
        vectors: Matrix,
        truth: Truth,
        probabilities: Weights,
        groups: NDArray[np.intp],
        archive: Archive,
    ) -> "Evidence":
        """Collect evidence; `probabilities` are those of having been shown, above 0, up to 1.

        As in Horvitz and Thompson 1952, "A Generalization of Sampling Without Replacement from a Finite
        Universe", a picture counts for as many as it was drawn from.
        """
        weights = 1 / probabilities
        near, standardised = nearest(vectors, archive.vectors), archive.standard(vectors)
        mean = weights.mean() if len(weights) else 1.0
        return cls(logits, vectors, truth, weights / mean, groups, near, standardised)

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, rows: NDArray[np.intp]) -> "Evidence":
        """Return some of the pictures."""
        return Evidence(
            self.logits[rows],
            self.vectors[rows],
            self.truth[rows],
            self.weights[rows],
            self.groups[rows],
            self.near[rows],
            self.standardised[rows],
        )

    @property
    def fewest(self) -> int:
        """How many pictures have the rarer answer."""
        right = int(self.truth.sum())
        return min(right, len(self) - right)

    @property
    def is_enough(self) -> bool:
        """Whether anything but examples can be learned."""
        return len(self) >= LEAST_VERDICTS and self.fewest >= LEAST_OF_A_KIND
