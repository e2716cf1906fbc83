"""The sentences of an evaluation that the terminal and the HTML file share."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from worker.domain.evaluation.intervals import Interval
from worker.domain.evaluation.labelled.confusion import Confusion
from worker.domain.evaluation.labelled.mistakes import decisive_phrases
from worker.domain.evaluation.labelled.picture import SAFE, Defect, JudgedPicture
from worker.domain.evaluation.labelled.slices import SliceFigures
from worker.domain.evaluation.wording import counted
from worker.usecases.policies.evaluation.evaluate_policy import Evaluation

#: Phrases, labels or files that a sentence lists.
MOST_LISTED: Final = 5
#: Harmless pictures below which a threshold for 1 % false positives rests on one or two of them.
ENOUGH: Final = 300
INTERVALS: Final = "In brackets: 95% intervals (Clopper-Pearson; bootstrap). Few pictures, wide intervals."
PRECISION: Final = (
    "Precision falls with the share of harmful pictures, which is mostly lower among uploads than in a test "
    "set. Recall and false positives do not depend on it."
)
_UNKNOWN: Final = "–"  # noqa: RUF001 - an en dash, as tables have it


def headline(evaluation: Evaluation) -> str:
    """Say in one sentence what the policy does to harmful and to harmless pictures."""
    counts = evaluation.figures.not_allowed
    parts = []
    if counts.true:
        parts.append(f"{counts.hits:,} of {counts.true:,} harmful pictures are not allowed")
    if counts.harmless:
        parts.append(f"{counts.false_positives:,} of {counts.harmless:,} harmless ones are flagged")
    return f"{'; '.join(parts)}."


def basis(evaluation: Evaluation) -> str:
    """Say what the figures rest on."""
    text = f"{counted(len(evaluation.judged), 'picture')} of {evaluation.labelled.source}"
    if copies := evaluation.labelled.copies:
        text += f"; {copies:,} more {'is a copy' if copies == 1 else 'are copies'}"
    return f"{text}; model {evaluation.model}."


def notes(evaluation: Evaluation) -> list[str]:
    """Say what the figures leave out, and how to read them."""
    lines = list(evaluation.labelled.notes)
    if empty := evaluation.empty_labels:
        lines.append(f"No picture shows {_listed(empty)}: of these, only the false positives are measured.")
    if not evaluation.harmless:
        lines.append(
            f"There are no harmless pictures ({SAFE}/, or an empty label): false positives are those among "
            "pictures of other labels."
        )
    if 0 < evaluation.harmless < ENOUGH:
        lines.append(
            f"With {counted(evaluation.harmless, 'harmless picture')}, a threshold for 1% false positives "
            f"rests on one or two of them: measure {ENOUGH:,} or more before you write it."
        )
    return [
        *lines,
        INTERVALS,
        PRECISION,
    ]


def left_out(evaluation: Evaluation) -> list[str]:
    """Name what is left out, a line for each defect."""
    by_defect: dict[Defect, list[str]] = defaultdict(list)
    for one in evaluation.left_out:
        file = shown_file(evaluation, one.file)
        # The notes explain unknown labels, a line for each name.
        by_defect[one.defect].append(file if one.defect is Defect.UNKNOWN_LABEL else f"{file} ({one.reason})")
    return [f"{len(files):,} {defect.value}: {_listed(files)}" for defect, files in by_defect.items()]


def shown_file(evaluation: Evaluation, file: Path) -> str:
    """Return a file's path below the folder or beside the table that was measured."""
    source = evaluation.labelled.source
    folder = source if source.is_dir() else source.parent
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)


def share(interval: Interval) -> str:
    """Write a share and its bounds in percent: 62% (48% to 75%)."""
    if interval.share is None:
        return _UNKNOWN
    return f"{percent(interval.share)} ({percent(interval.low)} to {percent(interval.high)})"


def decimal(interval: Interval) -> str:
    """Write a figure from 0 to 1 and its bounds: 0.81 (0.70 to 0.90)."""
    if interval.share is None:
        return _UNKNOWN
    return f"{interval.share:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def percent(share: float) -> str:
    """Write a share in percent, with a decimal if it is small."""
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def target(most_false_positives: float) -> str:
    """Name the target of a suggested threshold."""
    return f"{most_false_positives:.0%} false positives"


def taken_in_by(confusion: Confusion) -> list[str]:
    """Say what decides the mistakes of a label, a sentence each; empty without mistakes."""
    carriers = [one for one in confusion.prompts if one.false_positives]
    lines = []
    if carriers:
        prompts = (f'"{one.prompt}" {one.false_positives} (right {one.hits})' for one in carriers)
        lines.append(f"false positives are carried by {_listed(list(prompts))}")
        lines.append(f"false positives really are {_counts(confusion.really)}")
    if confusion.rivals:
        rivals = (
            f'"{one.phrase}"{" (lookalike)" if one.is_lookalike else ""} {one.missed}'
            for one in confusion.rivals
        )
        lines.append(f"what is missed is most like {_listed(list(rivals))}")
    if confusion.flagged_instead:
        lines.append(f"what is missed is flagged as {_counts(confusion.flagged_instead)} instead")
    return lines


def mistake(one: JudgedPicture, label: str) -> str:
    """Say which phrase decided a mistake."""
    score = one.scores[label]
    winner, loser = decisive_phrases(score)
    return f'"{winner}" beat "{loser}"{score.view}'


def truth(one: JudgedPicture) -> str:
    """Name what a picture really shows."""
    return ", ".join(sorted(one.picture.labels)) or SAFE


def differences(one: SliceFigures) -> list[str]:
    """Say in which figures a slice differs from the rest of its column beyond chance."""
    pairs = (
        (one.recall_differs, "recall", one.counts.recall, one.rest.recall),
        (
            one.false_positives_differ,
            "false positives",
            one.counts.false_positive_rate,
            one.rest.false_positive_rate,
        ),
    )
    return [
        f"{name} {share(here)}, elsewhere {share(rest)}" for differs, name, here, rest in pairs if differs
    ]


def slice_name(one: SliceFigures) -> str:
    """Name a slice and what is measured of it."""
    return f"{one.column} {one.value}, {one.label or 'any label'}"


def _counts(pairs: Sequence[tuple[str, int]]) -> str:
    return _listed([f"{name} {count}" for name, count in pairs])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_LISTED:,} more" if len(names) > MOST_LISTED else ""
    return f"{', '.join(names[:MOST_LISTED])}{more}"
