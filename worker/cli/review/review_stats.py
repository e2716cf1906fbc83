"""`moderate review stats`: statistics of the queue and of the verdicts."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.review.open_desk import desk
from worker.cli.terminal.console import plain_table, print_json, results
from worker.cli.terminal.durations import Since, short
from worker.domain.policies.policy import Action
from worker.usecases.reviews.review_statistics import Statistics

EPILOG = """Examples:

[bold]moderate review stats[/]

[bold]moderate review stats --since 30d --json[/]

Cohen's kappa: agreement of first and blind second reviews beyond chance; 1 is full agreement, 0 is chance.
Exit codes: 0 done, 2 wrong usage, 3 the database is not usable."""


def stats(
    since: Since = "7d",  # type: ignore[assignment] # typer parses the default too
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is open, what was answered, and how accurate the answers are."""
    with desk() as at:
        found = at.statistics.of_last(since)
    if as_json:
        print_json(as_json_of(found))
        return
    _print_backlog(found, found.since + since)
    _print_people(found, short(since))
    _print_labels(found)


def _print_backlog(found: Statistics, now: datetime) -> None:
    table = plain_table("queue", "open", "claimed", "overdue", "for leads", "oldest")
    for one in found.backlog:
        overdue = Text(f"{one.overdue:,}", "bold red" if one.overdue else "")
        age = short(now - one.oldest_at)
        table.add_row(one.queue, f"{one.open:,}", f"{one.claimed:,}", overdue, f"{one.for_lead:,}", age)
    results().print(table if found.backlog else "nothing is open")


def _print_people(found: Statistics, span: str) -> None:
    answered: dict[str, Counter[Action]] = {}
    for one in found.throughput:
        answered.setdefault(one.reviewer, Counter())[one.action] += one.count
    results().print(f"\nanswered within {span}: {sum(found.verdicts.values()):,}\n")
    if not answered:
        return
    table = plain_table("reviewer", "allow", "block", "pairs", "kappa", "golden", "right")
    for name, counts in sorted(answered.items()):
        agreement, golden = found.agreement_by_reviewer.get(name), found.golden_by_reviewer.get(name)
        table.add_row(
            name,
            f"{counts[Action.ALLOW]:,}",
            f"{counts[Action.BLOCK]:,}",
            f"{agreement.pairs:,}" if agreement else "",
            _number(agreement.kappa) if agreement else "",
            f"{golden.asked:,}" if golden else "",
            _share(golden.accuracy) if golden else "",
        )
    results().print(table)


def _print_labels(found: Statistics) -> None:
    if not found.labels:
        return
    table = plain_table("label", "flagged", "right", "precision", "missed", "kappa", "golden right")
    for one in found.labels:
        agreement, golden = found.agreement_by_label.get(one.label), found.golden_by_label.get(one.label)
        table.add_row(
            one.label,
            f"{one.flagged:,}",
            f"{one.right:,}",
            _share(one.precision),
            f"{one.missed:,}",
            _number(agreement.kappa) if agreement else "",
            _share(golden.accuracy) if golden else "",
        )
    results().print()
    results().print(table)


def as_json_of(found: Statistics) -> dict[str, Any]:
    """Return the statistics as JSON types."""
    return {
        "since": found.since.isoformat(),
        "backlog": [
            {
                "queue": one.queue,
                "open": one.open,
                "claimed": one.claimed,
                "overdue": one.overdue,
                "for_lead": one.for_lead,
                "oldest_at": one.oldest_at.isoformat(),
            }
            for one in found.backlog
        ],
        "throughput": [
            {"day": one.day, "reviewer": one.reviewer, "action": one.action.value, "count": one.count}
            for one in found.throughput
        ],
        "labels": [
            {
                "label": one.label,
                "flagged": one.flagged,
                "right": one.right,
                "precision": one.precision,
                "missed": one.missed,
            }
            for one in found.labels
        ],
        "agreement": _agreement(found.agreement),
        "agreement_by_label": {name: _agreement(one) for name, one in found.agreement_by_label.items()},
        "agreement_by_reviewer": {name: _agreement(one) for name, one in found.agreement_by_reviewer.items()},
        "golden_by_reviewer": {name: _hits(one) for name, one in found.golden_by_reviewer.items()},
        "golden_by_label": {name: _hits(one) for name, one in found.golden_by_label.items()},
    }


def _agreement(one: Any) -> dict[str, Any]:
    return {"pairs": one.pairs, "agreeing": one.agreeing, "kappa": one.kappa}


def _hits(one: Any) -> dict[str, Any]:
    return {"asked": one.asked, "right": one.right, "accuracy": one.accuracy}


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
