"""The reviewer at the terminal, from --as or MODERATION_REVIEWER; the name is not checked."""

from typing import Annotated

import typer

from worker.domain.accounts.reviewer import MAX_NAME_CHARACTERS, Reviewer, Role
from worker.errors import UsageError

AsName = Annotated[
    str,
    typer.Option(
        "--as",
        envvar="MODERATION_REVIEWER",
        metavar="NAME",
        help="Who answers. Not checked: anyone with this shell can write to the database anyway.",
    ),
]
AsLead = Annotated[bool, typer.Option("--lead", help="Answer as a lead, who answers escalations.")]


def reviewer(name: str, *, lead: bool) -> Reviewer:
    """Return the reviewer; UsageError if the name is missing or invalid."""
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise UsageError(
            f"a reviewer's name has 1 to {MAX_NAME_CHARACTERS} printable characters"
            if name
            else "who answers?",
            hint="--as NAME, or MODERATION_REVIEWER in the environment",
        )
    return Reviewer(name, Role.LEAD if lead else Role.REVIEWER)
