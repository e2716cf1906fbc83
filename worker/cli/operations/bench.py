"""`moderate bench`: measures throughput and latency, shows where the time goes, and recommends settings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from worker.bench.advice import Advice, advise, in_bytes
from worker.bench.figures import Figures, FullLoad, Part, core_ms_a_picture, parts
from worker.bench.measure import PACE, MeasureDeployment
from worker.bench.stage import bench_stage
from worker.cli.terminal.console import messages, plain_table, print_json, progress_bar, results
from worker.cli.terminal.signals import exit_cleanly
from worker.cli.terminal.stacked_bar import bar, sign
from worker.images.sources.folder import find_files
from worker.stage.stage import Stage

EPILOG = """Examples:

[bold]moderate bench[/]

[bold]MODERATION_MODEL=/models/siglip2 MODERATION_POLICY=default moderate bench[/]

[bold]moderate bench --pictures uploads/ --seconds 300 --json > bench.json[/]

It measures the settings of its environment without touching the deployment: database and pictures are in a
temporary folder (TMPDIR), the queue on the broker is a separate one, no notifications are sent. Run it on an
idle machine.
Exit codes: 0 done, 1 a policy has problems, 2 wrong usage, 3 broker or model is not usable."""

#: Most terminals are this wide; longer lines are hard to read.
WIDTH: Final = 80
#: Below this number of pictures a rate is uncertain, and percentiles more so.
FEW: Final = 30
#: A negative part up to this share of the whole is noise.
NOISE: Final = 0.03

MEANINGS: Final = {
    "tower": "the model's picture tower",
    "decode": "decoding and scaling, in separate processes",
    "score": "comparing with the policy's phrases",
    "store": "claiming, reading the file, recording",
    "rest": "overhead when all run together",
    "others": "other programs, and sending the pictures",
    "idle": "cores without work",
}
#: If the system does not report processor time, the rest is not split up.
REST_OF_ALL: Final = "messages, waiting, idle cores, other programs"


def bench(
    seconds: Annotated[
        int,
        typer.Option(min=2, max=86_400, help="Seconds to measure, without loading the model and starting."),
    ] = 50,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Judge the pictures of this folder instead of drawn ones."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how fast this machine is with your model and settings, and recommend settings."""
    exit_cleanly()
    if pictures is not None:
        # Check the folder before the model is loaded.
        find_files([pictures])
    with bench_stage() as stage:
        if stage.own_redis:
            messages().print("the configured broker does not answer: measuring with a temporary Redis")
        with _showing(seconds) as show:
            measure = MeasureDeployment(stage, pictures, seconds, show)
            figures = measure()
        advice = advise(figures)
        if as_json:
            print_json(_as_json(stage, measure, figures, advice))
        else:
            console = results()
            console.print(_report(stage, measure, figures, advice, console), width=_width(console))


@contextmanager
def _showing(seconds: int) -> Iterator[Callable[[str, float], None]]:
    """Show the current step, and a progress bar of the seconds to measure."""
    with progress_bar() as progress:
        task = progress.add_task("starting", total=seconds)
        yield lambda what, elapsed: progress.update(task, description=what, completed=int(elapsed))


def _width(console: Console) -> int:
    return min(console.width, WIDTH)


def _report(
    stage: Stage,
    measure: MeasureDeployment,
    figures: Figures,
    advice: Sequence[Advice],
    console: Console,
) -> RenderableType:
    return Group(
        _circumstances(stage, measure, figures),
        _title("How fast"),
        _rates(figures),
        "",
        _waits(figures),
        _title("Where the time goes"),
        _breakdown(figures, console),
        *_memory(figures),
        _title("What to set"),
        _advice(advice, _width(console)),
    )


def _circumstances(stage: Stage, measure: MeasureDeployment, figures: Figures) -> RenderableType:
    machine, settings = figures.machine, stage.settings
    table = _grid()
    table.add_row("machine", f"{machine.processor}, {_cores(machine.cores)}")
    numbers = "int8" if figures.configured.is_int8 else figures.configured.precision
    table.add_row("model", f"{settings.model} in {numbers}")
    refused = f"; refused: {', '.join(measure.refused)}" if measure.refused else ""
    table.add_row("policy", f"{settings.policy}, {measure.labels} labels{refused}")
    table.add_row("pictures", _pictures(measure))
    table.add_row("broker", f"{stage.broker}, in a separate queue")
    table.add_row("database", "SQLite in a temporary folder")
    for doubt in _doubts(figures):
        table.add_row("careful", Text(doubt, "bold yellow"))
    return table


def _doubts(figures: Figures) -> Iterator[str]:
    """Yield warnings about figures that cannot be trusted."""
    if figures.unjudged:
        yield f"{figures.unjudged} of {figures.decided} pictures could not be judged: rates are too high"
    if min(figures.single.pictures, figures.paced.pictures) < FEW:
        yield "few pictures were counted: --seconds 300 is more accurate"
    total = core_ms_a_picture(figures.machine.cores, figures.single.rate)
    if any(part.core_ms < -NOISE * total for part in parts(figures)):
        yield "parts took longer alone than together: something else was running, measure again"


def _pictures(measure: MeasureDeployment) -> str:
    if measure.pictures is None:
        return ""
    left_out = measure.pictures.left_out
    more = f"; {left_out} more cannot be judged" if left_out else ""
    return f"{measure.pictures.what}, {in_bytes(measure.pictures.mean_bytes)} each{more}"


def _rates(figures: Figures) -> RenderableType:
    table = plain_table("", "pictures a second", "counted")
    table.columns[1].justify = "right"
    many = f"full load, {figures.many.per_message} pictures a message"
    for what, load in (
        ("full load, one picture a message", figures.single),
        (many, figures.many),
        ("the same bytes again", figures.repeats),
    ):
        table.add_row(what, Text(f"{load.rate:.1f}", "bold"), _counted(load))
    return table


def _counted(load: FullLoad) -> str:
    return f"{load.pictures:,} in {load.seconds:.1f} s"


def _waits(figures: Figures) -> RenderableType:
    paced = figures.paced
    stages = ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in paced.stages.items())
    return Text.assemble(
        f"At {PACE:.0%} of full load, {paced.rate:.1f} a second at random moments, from enqueue to decision: "
        "median ",
        (_duration(paced.median_seconds), "bold"),
        ", 95 % within ",
        (_duration(paced.p95_seconds), "bold"),
        f" ({paced.pictures:,} counted). In the worker, milliseconds with waiting for a turn: {stages}.",
    )


def _breakdown(figures: Figures, console: Console) -> RenderableType:
    found = parts(figures)
    total = core_ms_a_picture(figures.machine.cores, figures.single.rate)
    table = plain_table("", "", "core-ms", "share", "")
    for column in (2, 3):
        table.columns[column].justify = "right"
    for place, part in enumerate(found):
        share = f"{part.core_ms / total:.0%}"
        table.add_row(
            sign(place, console.encoding), part.name, f"{part.core_ms:.1f}", share, _meaning(part, found)
        )
    return Group(
        f"A picture takes {total:.1f} core-milliseconds at full load: {_cores(figures.machine.cores)} for "
        f"{1 / figures.single.rate:.3f} s.",
        "",
        bar([part.core_ms for part in found], _width(console), console.encoding),
        "",
        table,
    )


def _meaning(part: Part, found: Sequence[Part]) -> str:
    return REST_OF_ALL if part.name == "rest" and part is found[-1] else MEANINGS[part.name]


def _memory(figures: Figures) -> Iterator[RenderableType]:
    memory = figures.memory
    yield ""
    if memory is None:
        yield "Memory: not reported by this system."
        return
    yield (
        f"Memory at its peak: worker {in_bytes(memory.worker_bytes)}, its {memory.decoders} decoders "
        f"together {in_bytes(memory.decoders_bytes)}."
    )


def _advice(advice: Sequence[Advice], width: int) -> RenderableType:
    return Group(*(Text.assemble((one.what, "bold"), "\n", _indented(one.why, width)) for one in advice))


def _indented(text: str, width: int) -> str:
    return fill(text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _title(text: str) -> Text:
    return Text(f"\n{text}\n", "bold")


def _grid() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _cores(number: float) -> str:
    return f"{number:g} core" + ("" if number == 1 else "s")


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _as_json(
    stage: Stage, measure: MeasureDeployment, figures: Figures, advice: Sequence[Advice]
) -> dict[str, Any]:
    total = core_ms_a_picture(figures.machine.cores, figures.single.rate)
    found: dict[str, Any] = _rounded(asdict(figures))
    return {
        "model": stage.settings.model,
        "policy": {"name": stage.settings.policy, "labels": measure.labels, "refused": measure.refused},
        "pictures": _pictures(measure),
        "broker": stage.broker,
        "queue": stage.settings.queue,
        **found,
        "core_ms_a_picture": {
            "total": round(total, 3),
            "parts": {part.name: round(part.core_ms, 3) for part in parts(figures)},
        },
        "advice": [asdict(one) for one in advice],
    }


def _rounded(value: Any) -> Any:
    match value:
        case dict():
            return {name: _rounded(one) for name, one in value.items()}
        case list() | tuple():
            return [_rounded(one) for one in value]
        case float():
            return round(value, 4)
    return value
