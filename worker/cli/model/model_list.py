"""`moderate model list`: recommended models for photographs."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from worker.bench.machine import multiplications_a_second
from worker.cli.terminal.console import plain_table, print_json, results
from worker.encoder.hub.presets import PRESETS, UNIT_COST, Preset

EPILOG = """Examples:

[bold]moderate model list[/]

[bold]moderate model fetch clip-l14 --out clip-l14[/]

Any other CLIP, SigLIP, SigLIP 2, ALIGN, AltCLIP, Chinese CLIP or MetaCLIP 2 of the hub is fetched by its id.
Exit codes: 0 done, 2 wrong usage."""


def list_presets(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List recommended models for photographs, each pinned to a commit, with size, cost and use."""
    speed = multiplications_a_second()
    if as_json:
        print_json([_as_json(preset, speed) for preset in PRESETS])
        return
    table = plain_table("name", "parameters", "input", "cost", "at most", "weights", "licence", "good for")
    for preset in PRESETS:
        table.add_row(
            preset.name,
            f"{preset.parameters_millions:,} M",
            f"{preset.input_pixels} x {preset.input_pixels}",
            f"{preset.relative_cost} x",
            f"{_most_pictures(preset, speed):.2g}/s",
            "pickled" if preset.is_pickled else "safetensors",
            preset.license,
            preset.use,
        )
    out = results()
    out.print(table)
    out.print()
    for preset in PRESETS:
        out.print(f"{preset.name}: {preset.pinned}", soft_wrap=True)
    out.print(
        "\nCost: the arithmetic of one picture, in multiples of clip-b32's. At most: an estimate of pictures "
        "a second on this machine's processors in float32, from the time of a matrix product; decoding comes "
        "on top, and an accelerator is faster. `moderate bench` measures it with the model.\n"
        "Pickled weights are not loaded: run `moderate model fetch NAME --out FOLDER`, which converts them. "
        "The others work as MODERATION_MODEL=NAME too.",
        soft_wrap=True,
    )


def _as_json(preset: Preset, speed: float) -> dict[str, Any]:
    estimate = float(f"{_most_pictures(preset, speed):.2g}")
    return asdict(preset) | {"model": preset.pinned, "estimated_pictures_a_second": estimate}


def _most_pictures(preset: Preset, speed: float) -> float:
    return speed / (preset.relative_cost * UNIT_COST)
