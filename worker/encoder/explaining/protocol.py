"""The interface of explainers, which find the cells of a picture that speak for a label."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.domain.moderation.scoring import Vector
from worker.images.preprocessing import Pixels, Preprocessing

#: How much each cell of a picture speaks for a label, shape (rows, columns), float32, not negative.
Cells = NDArray[np.float32]


class Method(StrEnum):
    """How a heat map is computed; each name is the one in the literature."""

    GRAD_ECLIP = "Grad-ECLIP"
    CLASS_ACTIVATION = "class activation"
    OCCLUSION = "occlusion"


class PictureExplainer(Protocol):
    """A method for one loaded model. Safe to call from many threads."""

    @property
    def method(self) -> Method:
        """How it computes."""

    def explain_image(self, pixels: Pixels, direction: Vector) -> Cells:
        """Return how much each cell of a prepared picture adds to its cosine with `direction`.

        `direction` has the shape (dimension,), float32: the vector of the phrase that won minus that of the
        phrase that lost.
        """


@dataclass(frozen=True, slots=True)
class Contrast:
    """The two phrases that decided a label's score, and the templates they are read with."""

    prompt: str
    background: str
    templates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExplainedModel:
    """What preparing a picture needs to know of the model that explains it."""

    #: As in `ModelInfo`, of its files in every precision: why does not depend on it.
    digests: tuple[str, ...]
    method: Method
    preprocessing: Preprocessing


class LabelExplainer(Protocol):
    """Explains labels with a model, which may run in another process."""

    def model(self) -> ExplainedModel:
        """Return what is known of the model; ModelError or UnavailableError if it cannot be loaded."""

    def explain(self, pixels: Pixels, contrast: Contrast) -> Cells:
        """Return the cells of a picture, prepared by the model's `preprocessing`, that speak for a label."""
