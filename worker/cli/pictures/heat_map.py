"""Writes the heat map of a decision as a PNG, for `moderate explain`."""

import os
from io import BytesIO
from pathlib import Path

from PIL import Image

from worker.errors import UsageError
from worker.images import heat_overlay
from worker.printable import printable
from worker.store.decisions.decisions import RecordedDecision
from worker.usecases.reviews.draw_heat_map import HeatMap, HeatMapRequest
from worker.usecases.reviews.show_picture import Page, PictureRequest, Variant
from worker.wiring.explaining import Explaining


def check_options(file: Path | None, label: str, *, veiled: bool) -> None:
    """Raise UsageError if the file cannot be written, before anything takes time."""
    if file is None:
        if label or veiled:
            raise UsageError(
                f"{'--label' if label else '--veiled'} is about a heat map, and none is asked for",
                hint="add --heatmap FILE.png",
            )
        return
    if file.suffix.lower() != ".png":
        raise UsageError(f"{file} is not a PNG by its name", hint="--heatmap names a file that ends in .png")
    if os.path.lexists(file):
        raise UsageError(f"{file} exists, and is not overwritten", hint="name another file, or delete it")
    if not file.parent.is_dir():
        raise UsageError(
            f"{file} cannot be written: there is no folder {file.parent}", hint="create the folder first"
        )
    if not os.access(file.parent, os.W_OK):
        raise UsageError(
            f"{file} cannot be written: permission denied", hint="name a file in a folder of yours"
        )


def write_heat_map(
    using: Explaining, decision: RecordedDecision, file: Path, label: str, *, veiled: bool
) -> HeatMap:
    """Write the picture with the heat map of a label over it, and return the map."""
    found = using.draw.compute(HeatMapRequest(decision.id, label or None))
    view = found.score.view
    shown = using.show(
        PictureRequest(
            decision.submission_id,
            Variant.VEILED if veiled else Variant.CLEAR,
            Page.BLACK if view.on_black else Page.WHITE,
            view.frame,
            decision.id,
        )
    )
    layer = heat_overlay.overlay(found.cells, found.size, found.place)
    with Image.open(BytesIO(shown.data)) as picture:
        drawn = heat_overlay.drawn_over(picture, layer, f"{found.score.label}: {found.method.value}")
    encoded = BytesIO()
    drawn.save(encoded, "PNG")
    try:
        with file.open("xb") as opened:
            opened.write(encoded.getvalue())
    except OSError as problem:
        raise UsageError(
            f"{file} cannot be written: {(problem.strerror or str(problem)).lower()}",
            hint="--heatmap names a new file in a folder of yours",
        ) from problem
    return found


def described(found: HeatMap, file: Path) -> str:
    """Return what the heat map shows, as one line."""
    score = found.score
    return printable(
        f"{file}: where “{score.prompt}” beat “{score.background}” for {score.label}{score.view}, "
        f"by {found.method.value}"
    )
