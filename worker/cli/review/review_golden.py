"""`moderate review golden`: golden items, reviews whose answer is known."""

from typing import Annotated

import typer

from worker.cli.review.open_desk import desk
from worker.cli.review.reviewer_option import AsName, reviewer
from worker.cli.terminal.console import action_text, plain_table, print_json, results
from worker.domain.policies.policy import Action
from worker.domain.reviews.verdict import Answer
from worker.errors import UsageError

app = typer.Typer(
    no_args_is_help=True,
    help="Golden items: decisions whose right answer is known. Each person gets them once; the answers change"
    " nothing, and `moderate review stats` counts them.",
)

_EXIT_CODES = (
    "Exit codes: 0 done, 1 it is already a golden item or still open, 2 wrong usage, 3 the database is not"
    " usable."
)


@app.command(
    epilog=f"""Examples:

[bold]moderate review golden add post-42 block --label weapons --as lea[/]

{_EXIT_CODES}"""
)
def add(
    submission: Annotated[
        str, typer.Argument(help="A submission's id, or its reference if no other has it.")
    ],
    action: Annotated[Action, typer.Argument(help="The right answer: allow or block.")],
    label: Annotated[
        list[str] | None, typer.Option(help="A label that truly applies; repeat it for several.")
    ] = None,
    queue: Annotated[str | None, typer.Option(help="The queue to use instead of the policy's.")] = None,
    name: AsName = "",
) -> None:
    """Make a decided submission a golden item."""
    if action is Action.REVIEW:
        raise UsageError("the right answer is allow or block")
    answer = Answer(action, frozenset(label or ()))
    with desk() as at:
        item = at.golden.add(reviewer(name, lead=True), submission, answer, queue)
    results().print(f"golden item {item}; a share of claims, MODERATION_REVIEW_GOLDEN_SHARE, are such items")


@app.command(
    epilog=f"""Examples:

[bold]moderate review golden retire 7 --as lea[/]

{_EXIT_CODES}"""
)
def retire(
    item: Annotated[int, typer.Argument(help="Its number, from `moderate review golden list`.")],
    name: AsName = "",
) -> None:
    """Retire a golden item: it is not shown again and its answers do not count; `add` brings it back."""
    with desk() as at:
        at.golden.retire(reviewer(name, lead=True), item)
    results().print(f"golden item {item} is retired")


@app.command("list", epilog=_EXIT_CODES)
def show(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show all golden items, oldest first."""
    with desk() as at:
        found = at.golden.everything()
    if as_json:
        print_json(
            [
                {
                    "id": item.id,
                    "submission": item.submission_id,
                    "decision": item.decision_id,
                    "queue": item.queue,
                    "action": item.action.value,
                    "labels": list(item.labels),
                    "added_by": item.added_by,
                    "created_at": item.created_at.isoformat(),
                    "retired_at": item.retired_at.isoformat() if item.retired_at else None,
                }
                for item in found
            ]
        )
        return
    table = plain_table("item", "submission", "queue", "answer", "labels", "added by", "added", "")
    for item in found:
        table.add_row(
            str(item.id),
            item.submission_id,
            item.queue,
            action_text(item.action),
            ", ".join(item.labels),
            item.added_by,
            f"{item.created_at:%Y-%m-%d %H:%M}",
            "retired" if item.retired_at else "",
        )
    results().print(table)
