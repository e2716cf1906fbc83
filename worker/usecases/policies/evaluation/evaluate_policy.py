"""Judges labelled pictures by a policy, and measures how well it does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from worker.domain.evaluation.labelled.picture import (
    Defect,
    JudgedPicture,
    LabelledPicture,
    LeftOut,
)
from worker.domain.evaluation.labelled.policy_figures import PolicyFigures, measure
from worker.domain.policies.policy import Policy
from worker.errors import UsageError
from worker.policy_files.library import LivePolicy
from worker.usecases.moderation.judge_picture import Judgement
from worker.usecases.moderation.scan_folder import ScanFolder
from worker.usecases.policies.evaluation.labelled_pictures import LabelledPictures

#: Mistakes of each kind and label that are kept.
MOST_MISTAKES: Final = 6
#: Called with the number of things done, and their total.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A policy, measured on labelled pictures."""

    policy: Policy
    #: The name of the model.
    model: str
    labelled: LabelledPictures
    judged: tuple[JudgedPicture, ...]
    #: Of the labelled pictures, those that cannot be judged too.
    left_out: tuple[LeftOut, ...]
    figures: PolicyFigures

    @property
    def harmless(self) -> int:
        """The number of pictures that have no label."""
        return sum(not one.picture.labels for one in self.judged)

    @property
    def empty_labels(self) -> list[str]:
        """The labels of which there is no picture."""
        return [one.label.name for one in self.figures.labels if not one.figures.review.counts.true]


@dataclass(frozen=True, slots=True)
class EvaluatePolicy:
    """Measure a policy on labelled pictures; nothing is stored."""

    scan_folder: ScanFolder

    def __call__(self, live: LivePolicy, labelled: LabelledPictures, progress: Progress) -> Evaluation:
        """Return the figures; `progress` counts pictures and labels. UsageError if none can be judged."""
        pictures, labels = len(labelled.pictures), len(live.policy.labels)
        judged: list[JudgedPicture] = []
        left_out: list[LeftOut] = []
        for number, read in enumerate(self._judge(live, labelled.pictures), 1):
            if isinstance(read, JudgedPicture):
                judged.append(read)
            else:
                left_out.append(read)
            progress(number, pictures + labels)
        if not judged:
            raise UsageError(
                f"none of the {pictures:,} labelled files of {labelled.source} can be judged; "
                f"{left_out[0].file}: {left_out[0].reason}"
            )
        return Evaluation(
            policy=live.policy,
            model=self.scan_folder.judge_picture.encoder.info.name,
            labelled=labelled,
            judged=tuple(judged),
            left_out=(*labelled.left_out, *left_out),
            figures=measure(
                live.policy,
                judged,
                MOST_MISTAKES,
                lambda done, _: progress(pictures + done, pictures + labels),
            ),
        )

    def _judge(
        self, live: LivePolicy, pictures: Sequence[LabelledPicture]
    ) -> Iterator[JudgedPicture | LeftOut]:
        judgements = self.scan_folder(live, [one.file for one in pictures])
        for picture, (_, judgement) in zip(pictures, judgements, strict=True):
            yield _read(picture, judgement)


def _read(picture: LabelledPicture, judgement: Judgement) -> JudgedPicture | LeftOut:
    if judgement.picture is None:
        return LeftOut(picture.file, Defect.NOT_JUDGED, judgement.decision.reason)
    scores = {score.label: score for score in judgement.decision.scores}
    return JudgedPicture(picture, judgement.decision, scores, judgement.picture.facts.sha256)
