"""`moderate decisions`: lists decisions, newest first."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.text import Text

from worker.cli.terminal.console import action_text, messages, plain_table, print_json, results
from worker.domain.evaluation.wording import up_to
from worker.domain.moderation.in_force import DecidedBy, InForce
from worker.domain.policies.policy import Action
from worker.notifications.decision_fields import listed_decision_fields
from worker.settings import Settings
from worker.store.decisions.decisions import RecordedDecision
from worker.store.engine.counting import MOST
from worker.store.upgrade import schema
from worker.usecases.moderation.list_decisions import ListDecisions
from worker.wiring.components import open_database

EPILOG = """Examples:

[bold]moderate decisions --action review[/]

[bold]moderate decisions --label weapons --limit 500 --json[/]

Exit codes: 0 done, 2 wrong usage, 3 the database is not usable."""


def decisions(
    action: Annotated[Action | None, typer.Option(help="Only policy decisions with this action.")] = None,
    label: Annotated[str | None, typer.Option(help="Only pictures on which this label was flagged.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show decisions with the action now in force, their scores and reasons, newest first."""
    database = open_database(Settings.read())
    try:
        schema.check(database)
        found = ListDecisions(database).newest(action=action, label=label, limit=limit)
    finally:
        database.dispose()
    if as_json:
        print_json(
            [listed_decision_fields(one, found.in_force[one.submission_id]) for one in found.decisions]
        )
        return
    print_table(found.decisions, found.in_force)
    total = _count_text(found.counts) or "no decisions yet"
    results().print(f"\n{len(found.decisions)} shown; in all: {total}")
    for submission_id, error in found.refused:
        line = Text.assemble(("refused: ", "bold red"), f"submission {submission_id}: {error}")
        messages().print(line, soft_wrap=True)


def print_table(
    found: Sequence[RecordedDecision], states: Mapping[str, InForce] | None = None, *, times: bool = True
) -> None:
    """Print decisions as a table, by default with their times; `states` are the actions in force."""
    table = plain_table(*(["decided"] if times else []), "reference", "action", "labels", "reason")
    for decision in found:
        table.add_row(
            *([f"{decision.created_at:%Y-%m-%d %H:%M:%S}"] if times else []),
            decision.reference or decision.submission_id,
            _action(decision, (states or {}).get(decision.submission_id)),
            ", ".join(decision.flagged),
            decision.reason,
        )
    results().print(table)


def _action(decision: RecordedDecision, state: InForce | None) -> Text:
    """Return the action in force, and who decided it if it was not the policy."""
    if state is None or state.action is None or state.decided_by in {None, DecidedBy.POLICY}:
        return action_text(decision.action)
    return Text.assemble(action_text(state.action), f", by {state.decided_by}".replace("_", " "))


def _count_text(counts: Mapping[Action, int]) -> str:
    return ", ".join(
        f"{up_to(counts[action], MOST)} {action.value}" for action in Action if counts.get(action)
    )
