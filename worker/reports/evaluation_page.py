"""The page of an evaluation: figures, curves and the worst mistakes, in one self-contained HTML file."""

from pathlib import Path

from worker.reports import evaluation_charts as charts
from worker.reports import evaluation_wording as said
from worker.reports.pages import Draw, Progress, render
from worker.reports.thumbnails import MOST
from worker.usecases.policies.evaluation.evaluate_policy import Evaluation


def evaluation_page(evaluation: Evaluation, draw: Draw, progress: Progress) -> str:
    """Return the page of an evaluation."""
    slices = evaluation.figures.slices
    first = [one for one in slices if one.label is None or said.differences(one)]
    return render(
        "evaluation.html",
        evaluation=evaluation,
        labels=[(report, charts.label_charts(report.figures)) for report in evaluation.figures.labels],
        thumbnails=_thumbnails(evaluation, draw, progress),
        slices=(first, [one for one in slices if one not in first]),
        charts=charts,
        said=said,
    )


def _thumbnails(evaluation: Evaluation, draw: Draw, progress: Progress) -> dict[tuple[str, Path], str | None]:
    """Return the thumbnails of the mistakes by label and file, as many as a page may have.

    None if the file is gone.
    """
    wanted = [
        (report.label.name, one)
        for report in evaluation.figures.labels
        for one in (*report.mistakes.missed, *report.mistakes.false_positives)
    ][:MOST]
    drawn: dict[tuple[str, Path], str | None] = {}
    for number, (label, one) in enumerate(wanted, 1):
        drawn[label, one.picture.file] = draw(one.picture.file, one.scores[label].view)
        progress(number, len(wanted))
    return drawn
