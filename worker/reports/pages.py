"""Writes a comparison, a hunt or a scan as one self-contained HTML file, without scripts or network."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from worker.domain.evaluation.backtest import ACTIONS
from worker.domain.moderation.view import FIRST, View
from worker.domain.policies.policy import Policy
from worker.domain.reviews.review import priority
from worker.errors import UsageError
from worker.printable import printable
from worker.reports import charts, wording
from worker.reports.figures import per_day
from worker.reports.thumbnails import MOST, Thumbnails
from worker.usecases.moderation.judge_picture import Judgement
from worker.usecases.policies.compare_policies import Comparison, Flip
from worker.usecases.policies.hunt_phrase import Hunt

#: Called with the number of thumbnails made, and their total.
Progress = Callable[[int, int], None]
#: Returns the thumbnail of a file's view as a `data:` URL; None if the file is gone.
Draw = Callable[[Path, View], str | None]


def comparison_page(comparison: Comparison, thumbnails: Thumbnails, progress: Progress) -> str:
    """Return the page of a comparison."""
    tally = comparison.tally
    flips = comparison.flips
    pictures = _pictures(
        thumbnails, ((f.submission, f.sha256, _view(f)) for f in flips), len(flips), progress
    )
    return render(
        "comparison.html",
        comparison=comparison,
        tally=tally,
        actions=[action.value for action in ACTIONS],
        moves=tally.moves.tolist(),
        load=per_day(comparison),
        days=charts.day_chart(tally),
        histograms=[charts.histogram(label, comparison.old, comparison.new) for label in tally.labels],
        flips=list(zip(flips, pictures, strict=True)),
        charts=charts,
    )


def hunt_page(hunt: Hunt, thumbnails: Thumbnails, progress: Progress) -> str:
    """Return the page of a hunt: a contact sheet."""
    found = hunt.sightings
    pictures = _pictures(
        thumbnails, ((s.submission, s.sha256, s.score.view) for s in found), len(found), progress
    )
    return render("hunt.html", hunt=hunt, sightings=list(zip(found, pictures, strict=True)))


def scan_page(
    policy: Policy, judged: Sequence[tuple[Path, Judgement]], draw: Draw, progress: Progress
) -> str:
    """Return the page of a scan: a contact sheet with the scores, the most serious first."""
    found: list[tuple[tuple[Path, Judgement], str | None]] = []
    for number, (file, judgement) in enumerate(sorted(judged, key=_attention)):
        address = draw(file, _strongest_view(judgement)) if judgement.picture and number < MOST else None
        found.append(((file, judgement), address))
        progress(number + 1, len(judged))
    counts = Counter(judgement.decision.action.value for _, judgement in judged)
    return render("scan.html", policy=policy, found=found, counts=counts, actions=reversed(ACTIONS))


def render(template: str, **values: Any) -> str:
    """Return a page; values that are texts are escaped."""
    return _environment().get_template(template).render(wording=wording, most_thumbnails=MOST, **values)


def write_page(page: str, file: Path) -> None:
    """Write `file` atomically; UsageError if it cannot be written."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=file.parent, prefix=f".{file.name}.", delete=False
        ) as opened:
            temporary = Path(opened.name)
            opened.write(page)
        # The user's usual permissions; a temporary file is private.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(file)
    except OSError as problem:
        if temporary:
            temporary.unlink(missing_ok=True)
        raise UsageError(
            f"{file} cannot be written: {(problem.strerror or str(problem)).lower()}",
            hint="--html names a file in a folder that exists",
        ) from problem


def _pictures(
    thumbnails: Thumbnails, wanted: Iterable[tuple[Any, str, View]], total: int, progress: Progress
) -> list[str | None]:
    made: list[str | None] = []
    total = min(total, MOST)
    for n, (submission, sha256, view) in enumerate(wanted):
        made.append(thumbnails(submission, sha256, view) if n < MOST else None)
        progress(min(n + 1, total), total)
    return made


def _attention(judged: tuple[Path, Judgement]) -> tuple[int, float]:
    decision = judged[1].decision
    return -ACTIONS.index(decision.action), -priority(decision)


def _strongest_view(judgement: Judgement) -> View:
    """Return the view with the highest score."""
    return max(judgement.decision.scores, key=lambda found: found.score).view


def _view(flip: Flip) -> View:
    """Return the view that made the submission flip."""
    scores = [label.new or label.old for label in flip.labels]
    return next((found.view for found in scores if found), FIRST)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("worker.reports"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Return a value that can be encoded: a file's name need not be valid Unicode."""
    return printable(value) if type(value) is str else value


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
