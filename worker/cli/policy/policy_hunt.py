"""`moderate policy hunt`: finds past uploads that show a phrase, the most similar first."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.terminal.console import action_text, counting, messages, plain_table, print_json, results
from worker.cli.terminal.durations import parse_since
from worker.domain.policies.policy import Policy
from worker.reports import wording
from worker.reports.figures import hunt_figures
from worker.reports.pages import hunt_page, write_page
from worker.reports.thumbnails import Thumbnails
from worker.settings import Settings
from worker.store.engine.clock import now_at
from worker.store.engine.database import Database
from worker.store.operations.archive import Span
from worker.store.upgrade import schema
from worker.usecases.policies.hunt_phrase import Hunt
from worker.wiring.components import image_reader, open_database, open_decoder, open_encoder
from worker.wiring.policies import hunt_phrase, pick_policies

EPILOG = """Examples:

[bold]moderate policy hunt "a hookah"[/]

[bold]moderate policy hunt "a hookah" --since 1d --top 200 --html hookahs.html[/]

Exit codes: 0 done, whatever was found, 1 the policy has problems, 2 wrong usage, 3 the database or the
model is not usable."""


def hunt(  # noqa: PLR0913, PLR0917 - typer passes each option as an argument
    phrase: Annotated[str, typer.Argument(metavar="PHRASE", help="What to look for, in words.")],
    since: Annotated[str, typer.Option(help="How far back: 30d, 12h, 90m.")] = "90d",
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many pictures at most.")] = 50,
    policy: Annotated[
        str | None,
        typer.Option(help="Policy whose background and templates are used, instead of MODERATION_POLICY."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a contact sheet to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rank past uploads, whichever policy decided them, by how strongly they show a phrase."""
    back = parse_since(since)
    settings = Settings.read()
    database = open_database(settings)
    try:
        schema.check(database)
        span = Span(now_at(database) - back)
        background = pick_policies(settings, database).named(policy or settings.policy)
        found = _hunt(settings, database, phrase, background, span, top)
        if html and not wording.empty_reason(found):
            _write(found, settings, database, html)
    finally:
        database.dispose()
    if as_json:
        print_json(hunt_figures(found))
    elif reason := wording.empty_reason(found):
        results().print(reason, soft_wrap=True)
    else:
        print_hunt(found)


def _hunt(  # noqa: PLR0913, PLR0917 - the parameters of a hunt
    settings: Settings, database: Database, phrase: str, policy: Policy, span: Span, top: int
) -> Hunt:
    with open_encoder(settings) as encoder, counting("hunting") as progress:
        return hunt_phrase(settings, encoder, database)(phrase, policy, span, top, progress)


def _write(found: Hunt, settings: Settings, database: Database, file: Path) -> None:
    with open_decoder(settings, database) as decoder, counting("drawing") as progress:
        page = hunt_page(found, Thumbnails(image_reader(settings), decoder), progress)
    write_page(page, file)
    messages().print(f"contact sheet: {file}", soft_wrap=True)


def print_hunt(found: Hunt) -> None:
    """Print the results as a table."""
    results().print(f'"{found.phrase}" against the background of {wording.version(found.policy)}')
    results().print(wording.coverage(found), soft_wrap=True)
    table = plain_table("score", "cosine", "submission", "uploads", "decided", "action", "nearest background")
    for seen in found.sightings:
        table.add_row(
            f"{seen.score.score:.2f}",
            f"{seen.score.prompt_cosine:.3f}",
            seen.submission.reference or seen.submission.id,
            f"{seen.uploads:,}",
            wording.moment(seen.decided_at),
            action_text(seen.action),
            seen.score.background,
        )
    results().print()
    results().print(table)
    results().print("\na score of 0.5 or more: the phrase beats the background")
