"""A picture whose labels are known, and what a policy makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from worker.domain.evaluation.curves import Flags, Floats
from worker.domain.moderation.decision import Decision
from worker.domain.moderation.scoring import LabelScore

#: The name of the folder of harmless pictures, and what a table may say for "no label".
SAFE: Final = "safe"


class Defect(StrEnum):
    """Why something is left out of the figures."""

    UNLABELLED = "unlabelled"
    UNKNOWN_LABEL = "unknown label"
    CONTRADICTORY = "contradictory"
    MISSING = "missing"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that is not in the figures, and why."""

    file: Path
    defect: Defect
    #: What is wrong with it, for people.
    reason: str


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A file, and what people say that it shows."""

    file: Path
    #: Empty if it is harmless.
    labels: frozenset[str] = frozenset()
    #: Values by column, such as the artist or the device; all pictures of a table have the same columns.
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JudgedPicture:
    """A labelled picture, and a policy's decision on it."""

    picture: LabelledPicture
    decision: Decision
    #: By label; all labels of the policy.
    scores: Mapping[str, LabelScore]
    #: SHA-256 of the judged bytes.
    sha256: str


def scores_of(label: str, judged: Sequence[JudgedPicture]) -> Floats:
    """Return the scores of one label, shape (pictures,)."""
    return np.array([one.scores[label].score for one in judged], np.float64)


def truth_of(label: str, judged: Sequence[JudgedPicture]) -> Flags:
    """Return whether people say that the label applies, shape (pictures,)."""
    return np.array([label in one.picture.labels for one in judged], np.bool_)
