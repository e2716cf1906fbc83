"""`moderate policy`: commands for those who write policies."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from worker.cli import policy_compare, policy_hunt
from worker.cli.console import messages, results
from worker.errors import InvalidPolicyError
from worker.policy_files.parser import read_policy

app = typer.Typer(no_args_is_help=True, help="Commands for those who write policies.")
app.command("compare", epilog=policy_compare.EPILOG)(policy_compare.compare)
app.command("hunt", epilog=policy_hunt.EPILOG)(policy_hunt.hunt)

CHECK_EPILOG = """Examples:

[bold]moderate policy check policies/stickers.yaml[/]

Exit codes: 0 no problems, 1 it found problems, 2 wrong usage."""


@app.command(epilog=CHECK_EPILOG)
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files.")],
) -> None:
    """Read policy files and show every problem at once, each with its place and a hint."""
    broken = False
    for file in files:
        try:
            policy, _ = read_policy(file)
        except InvalidPolicyError as error:
            broken = True
            messages().print(error.message, soft_wrap=True)
        else:
            phrases = len(set(policy.phrases()))
            facts = f"{len(policy.labels)} labels, {phrases} phrases, version {policy.digest[:12]}"
            results().print(Text.assemble((f"{file}: no problems", "green"), f" ({facts})"), soft_wrap=True)
    if broken:
        raise typer.Exit(1)
