"""`moderate model fetch`: downloads a model into a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.terminal.console import announce, downloading, print_json, results
from worker.cli.terminal.signals import exit_cleanly

if TYPE_CHECKING:
    from worker.encoder.fetching.model_fetch import Fetched

EPILOG = """Examples:

[bold]moderate model fetch clip-l14 --out clip-l14[/]

[bold]moderate model fetch kakaobrain/align-base --out align[/]

If it is interrupted, the same command resumes; for a complete folder it checks every file against the
recorded checksum. Without a revision it takes the newest commit, and records which that was. HF_ENDPOINT
names another hub, HF_TOKEN gives access to private and gated models.
Exit codes: 0 done, 2 wrong usage, 3 the model is unavailable, or the folder's files have changed."""


def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME|ID[@REVISION]", help="A preset, or a model of the hub.")
    ],
    out: Annotated[Path, typer.Option(help="New folder for the model.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Download a model into a folder, with checksums, and pickled weights converted to safetensors."""
    # The hub's client takes a second to import.
    from worker.encoder.fetching import model_fetch  # noqa: PLC0415

    # SIGTERM keeps the partial download, as Ctrl-C does.
    exit_cleanly()
    try:
        with downloading(f"fetching {name}") as notify:
            fetched = model_fetch.fetch(name, out, notify)
    except KeyboardInterrupt:
        announce("the partial download is kept: the same command resumes it")
        raise
    if as_json:
        manifest = fetched.manifest
        print_json(
            {
                "folder": str(fetched.folder),
                "model": f"{manifest.hub_id}@{manifest.commit}",
                "was_there": fetched.was_there,
                "files": dict(manifest.files),
                "converted": sorted(manifest.converted),
            }
        )
    else:
        _print(fetched)


def _print(fetched: "Fetched") -> None:
    console, manifest, out = results(), fetched.manifest, fetched.folder
    model = f"{manifest.hub_id}@{manifest.commit}"
    done = f"{out} is complete and unchanged: {model}" if fetched.was_there else f"fetched {model} into {out}"
    console.print(done, soft_wrap=True)
    if manifest.converted:
        console.print(f"converted to safetensors: {', '.join(sorted(manifest.converted))}", soft_wrap=True)
    console.print(
        f"\nTry it on your own pictures:\n  MODERATION_MODEL={out} moderate scan PICTURES --policy default",
        soft_wrap=True,
    )
