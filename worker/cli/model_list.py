"""`moderate model list`: models of photographs to start from."""

from dataclasses import asdict
from typing import Annotated

import typer

from worker.cli.console import plain_table, print_json, results
from worker.encoder.presets import PRESETS

EPILOG = """Examples:

[bold]moderate model list[/]

[bold]moderate model fetch clip-l14 --out clip-l14[/]

Any other CLIP, SigLIP, SigLIP 2, ALIGN, AltCLIP, Chinese CLIP or MetaCLIP 2 of the hub is fetched by its id.
Exit codes: 0 done, 2 wrong usage."""


def list_presets(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List models of photographs to start from, each at one commit: what for, how large, at what cost."""
    if as_json:
        print_json([asdict(preset) | {"model": preset.pinned} for preset in PRESETS])
        return
    table = plain_table("name", "parameters", "input", "cost", "licence", "good for")
    for preset in PRESETS:
        table.add_row(
            preset.name,
            f"{preset.parameters_millions:,} M",
            f"{preset.input_pixels} x {preset.input_pixels}",
            f"{preset.relative_cost} x",
            preset.license,
            preset.use,
        )
    out = results()
    out.print(table)
    out.print()
    for preset in PRESETS:
        out.print(f"{preset.name}: {preset.pinned}", soft_wrap=True)
    out.print(
        "\nThe cost is the arithmetic of one picture, in multiples of clip-b32's. What this machine manages, "
        "`moderate bench` measures once a model is there: moderate model fetch NAME --out FOLDER",
        soft_wrap=True,
    )
