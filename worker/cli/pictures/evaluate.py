"""`moderate evaluate`: how good a policy is on labelled pictures, and which thresholds to write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from worker.cli.terminal.console import counting, messages, plain_table, print_json, results
from worker.domain.evaluation.labelled.counts import Counts
from worker.domain.evaluation.labelled.label_figures import TARGETS
from worker.errors import UsageError
from worker.printable import one_line
from worker.reports import evaluation_wording as said
from worker.reports import wording
from worker.reports.evaluation_figures import evaluation_figures
from worker.reports.evaluation_page import evaluation_page
from worker.reports.pages import write_page
from worker.reports.thumbnails import FileThumbnails
from worker.settings import Settings
from worker.usecases.policies.evaluation.evaluate_policy import Evaluation
from worker.usecases.policies.evaluation.labelled_pictures import (
    LABELS_COLUMN,
    LabelledPictures,
    read_labelled,
)
from worker.wiring.components import open_decoder, open_encoder
from worker.wiring.evaluating import evaluate_policy
from worker.wiring.policies import PolicyDraft

EPILOG = """A folder has a subfolder for each label, and safe/ for harmless pictures; a picture may lie in
several. A CSV file has a column [bold]file[/], relative to it, and a column [bold]labels[/]: empty or safe
for none, several separated by ; or |. Any other column, such as artist or device, is a slice: the figures are
given for each of its values.

Examples:

[bold]moderate evaluate pictures/ --policy default[/]

[bold]moderate evaluate pictures/ --policy drafts/uploads.yaml --html report.html[/]

[bold]moderate evaluate labels.csv --labels-column category --rename none=safe --rename gun=weapons[/]

Exit codes: 0 done, however good it is, 1 a policy has problems, 2 wrong usage or no labelled pictures, 3 the
model cannot be loaded."""


def evaluate(  # noqa: PLR0913, PLR0917 - typer passes each option as an argument
    source: Annotated[Path, typer.Argument(metavar="FOLDER|CSV", help="Pictures whose labels are known.")],
    policy: Annotated[
        str | None,
        typer.Option(help="Policy to measure instead of MODERATION_POLICY: a name, or a .yaml file."),
    ] = None,
    labels_column: Annotated[
        str, typer.Option(help="The column of a CSV file that has the labels.")
    ] = LABELS_COLUMN,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LABEL",
            help="What a folder or a name in the CSV means: a label, or safe. Repeatable.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write a report with curves and the worst mistakes to this file."),
    ] = None,
) -> None:
    """Measure a policy on pictures whose labels are known: recall, false positives, thresholds."""
    if html and not html.parent.is_dir():
        # Said before the work, not after it.
        raise UsageError(f"{html} cannot be written: there is no folder {html.parent}")
    settings = Settings.read()
    draft = PolicyDraft.of(settings, policy or settings.policy)
    labelled = read_labelled(source, draft.policy, labels_column, _renamed(rename or []))
    evaluation = _evaluate(settings, draft, labelled, html)
    if as_json:
        print_json(evaluation_figures(evaluation))
    else:
        _print(evaluation)


def _renamed(pairs: Sequence[str]) -> dict[str, str]:
    renamed = {}
    for pair in pairs:
        name, equals, label = (part.strip() for part in pair.rpartition("="))
        if not (name and equals and label):
            raise UsageError(f"--rename {pair}: write NAME=LABEL", hint="for example --rename none=safe")
        renamed[name] = label
    return renamed


def _evaluate(
    settings: Settings, draft: PolicyDraft, labelled: LabelledPictures, html: Path | None
) -> Evaluation:
    with open_decoder(settings) as decoder, open_encoder(settings) as encoder:
        live = draft.open(encoder)
        with counting("evaluating") as progress:
            evaluation = evaluate_policy(settings, encoder, decoder)(live, labelled, progress)
        if html:
            judged = {one.picture.file: one.sha256 for one in evaluation.judged}
            with counting("drawing") as drawing:
                page = evaluation_page(evaluation, FileThumbnails(decoder, judged), drawing)
            write_page(page, html)
            messages().print(f"report: {html}", soft_wrap=True)
    return evaluation


def _print(evaluation: Evaluation) -> None:
    results().print(Text(said.headline(evaluation), "bold"), soft_wrap=True)
    _say(f"{wording.version(evaluation.policy)} on {said.basis(evaluation)}")
    _print_labels(evaluation)
    _print_thresholds(evaluation)
    _print_confusion(evaluation)
    _print_slices(evaluation)
    if evaluation.left_out:
        results().print()
    for line in said.left_out(evaluation):
        _say(f"left out: {line}")
    results().print()
    for note in said.notes(evaluation):
        _say(note)


def _say(sentence: str) -> None:
    """Print a sentence; line breaks in names are escaped."""
    results().print(one_line(sentence), soft_wrap=True)


def _print_labels(evaluation: Evaluation) -> None:
    table = plain_table("label", "recall", "false positives", "precision", "average precision", "pictures")
    _align_right(table)

    def add(name: str | Text, counts: Counts, average_precision: str = "") -> None:
        shares = map(said.share, (counts.recall, counts.false_positive_rate, counts.precision))
        table.add_row(name, *shares, average_precision, f"{counts.true:,}")

    for report in evaluation.figures.labels:
        figures = report.figures
        add(
            f"{figures.name} (review {figures.review.threshold:g})",
            figures.review.counts,
            said.decimal(figures.average_precision),
        )
        if figures.block:
            add(f"{figures.name} (block {figures.block.threshold:g})", figures.block.counts)
    add(Text("not allowed", "bold"), evaluation.figures.not_allowed)
    results().print()
    results().print(table)


def _print_thresholds(evaluation: Evaluation) -> None:
    columns = [f"{said.target(target)} from" for target in TARGETS]
    table = plain_table("label", *(cell for column in columns for cell in (column, "recall there")))
    _align_right(table)
    for report in evaluation.figures.labels:
        cells = []
        for found in report.figures.suggested.values():
            cells += (
                ["none", ""] if found is None else [f"{found.threshold:g}", said.share(found.counts.recall)]
            )
        table.add_row(report.label.name, *cells)
    results().print()
    results().print(table)


def _print_confusion(evaluation: Evaluation) -> None:
    for report in evaluation.figures.labels:
        if sentences := said.taken_in_by(report.confusion):
            results().print()
            _say(f"{report.label.name}: {'; '.join(sentences)}")


def _print_slices(evaluation: Evaluation) -> None:
    slices = evaluation.figures.slices
    if not slices:
        return
    table = plain_table("slice", "pictures", "recall", "false positives")
    _align_right(table)
    for one in slices:
        if one.label is None:
            counts = one.counts
            shares = said.share(counts.recall), said.share(counts.false_positive_rate)
            table.add_row(f"{one.column} {one.value}", f"{counts.true + counts.harmless:,}", *shares)
    results().print()
    results().print(table)
    for one in slices:
        for difference in said.differences(one):
            _say(f"beyond chance: {said.slice_name(one)}: {difference}")
    if not any(map(said.differences, slices)):
        results().print(f"(no slice differs beyond chance, in {len(slices):,} comparisons)")


def _align_right(table: Table) -> None:
    for column in table.columns[1:]:
        column.justify = "right"
