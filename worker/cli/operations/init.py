"""`moderate init`: writes a folder to start a deployment from."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.text import Text

from worker.cli.terminal.console import messages, results
from worker.scaffold.deployment_folder import CONTENTS, MODEL_OF_PHOTOGRAPHS, NEXT, write_deployment

EPILOG = """Examples:

[bold]moderate init moderation[/]

It overwrites nothing: the folder must not exist, or be empty.
Exit codes: 0 done, 2 wrong usage, or the folder cannot be written."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder, or an empty one.")],
) -> None:
    """Write a folder to start from: a policy, settings, Compose and systemd files."""
    chosen = write_deployment(folder)
    out = results()
    for place, meaning in CONTENTS.items():
        out.print(Text.assemble((f"{folder / place}", "bold"), f"  {meaning}"), soft_wrap=True)
    out.print("\nNext, with a Redis at MODERATION_BROKER_URL:\n")
    out.print(f"cd {quote(str(folder))}\n{NEXT}", soft_wrap=True)
    if chosen["model"] == MODEL_OF_PHOTOGRAPHS:
        messages().print(
            f"\nmoderation-demo is not installed, so .env names {MODEL_OF_PHOTOGRAPHS}, which is downloaded "
            "when it is first used.",
            soft_wrap=True,
        )
