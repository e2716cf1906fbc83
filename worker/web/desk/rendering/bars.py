"""Computes the bar of a label's score and thresholds; the template draws it as inline SVG."""

from dataclasses import dataclass
from typing import Final

from worker.usecases.reviews.look_at_review import LabelEvidence

#: In the units of the SVG.
WIDTH: Final = 240


@dataclass(frozen=True, slots=True)
class EvidenceBar:
    """The bar of one label."""

    evidence: LabelEvidence
    width: float
    #: None if the policy cannot be read any more; block_x also if the label never blocks.
    review_x: float | None
    block_x: float | None
    #: quiet, review or block: how far the score got.
    reached: str


def bar(evidence: LabelEvidence) -> EvidenceBar:
    """Return the bar of one label."""
    score, label = evidence.score.score, evidence.label
    block = label.block if label else None
    reached = "quiet"
    if evidence.flagged:
        reached = "block" if block is not None and score >= block else "review"
    return EvidenceBar(
        evidence,
        round(WIDTH * score, 1),
        round(WIDTH * label.review, 1) if label else None,
        None if block is None else round(WIDTH * block, 1),
        reached,
    )
