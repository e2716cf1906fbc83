"""Labelled pictures that a policy judged, by their scores."""

from pathlib import Path

from worker.domain.evaluation.labelled.picture import JudgedPicture, LabelledPicture
from worker.domain.moderation.decision import decide
from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Label, Policy

WEAPONS = Label("weapons", ("a gun", "a knife"), lookalikes=("a toy pistol",), review=0.5, block=0.9)
DRUGS = Label("drugs", ("a pill",), review=0.6)
POLICY = Policy("house", ("an animal", "a tool"), (WEAPONS, DRUGS))


def judged(  # noqa: PLR0913 - what a judged picture is
    name: str,
    labels: str = "",
    *,
    weapons: float = 0.1,
    drugs: float = 0.1,
    prompt: str = "a gun",
    background: str = "an animal",
    **slices: str,
) -> JudgedPicture:
    """Return a picture with its labels, separated by spaces, and its scores; phrases are those of weapons."""
    scores = (
        LabelScore("weapons", weapons, prompt, weapons, background, 0.5),
        LabelScore("drugs", drugs, "a pill", drugs, "an animal", 0.5),
    )
    return JudgedPicture(
        LabelledPicture(Path(name), frozenset(labels.split()), slices),
        decide(POLICY, scores),
        {score.label: score for score in scores},
        sha256=name,
    )
