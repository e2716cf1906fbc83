"""`moderate policy shadow`: compares what shadow policies would have decided with what was decided."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from worker.cli.terminal.console import action_text, messages, plain_table, print_json, results
from worker.cli.terminal.durations import Since, short
from worker.domain.policies.policy import Action
from worker.settings import Settings
from worker.store.decisions.shadow_decisions import Difference
from worker.store.upgrade import schema
from worker.usecases.policies.report_shadows import A_DAY, ReportShadows, ShadowReport
from worker.wiring.components import open_database

EPILOG = """Examples:

[bold]moderate policy shadow[/]

[bold]moderate policy shadow strict --since 30d --limit 100 --json[/]

A policy file with `shadow: true` is scored on every job in addition to the policy that decides.
Exit codes: 0 done, 2 wrong usage, 3 the database is not usable."""


def shadow(
    name: Annotated[str | None, typer.Argument(help="Only this shadow policy.")] = None,
    since: Since = "7d",  # type: ignore[assignment] # typer parses the default too
    limit: Annotated[
        int, typer.Option(min=0, max=10_000, help="How many differing submissions to list at most.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what shadow policies would have decided, compared with what was decided."""
    database = open_database(Settings.read())
    try:
        schema.check(database)
        reports = ReportShadows(database)(name, since, limit)
    finally:
        database.dispose()
    if as_json:
        print_json([_as_json(report) for report in reports])
        return
    for report in reports:
        _print(report)
    if not reports:
        messages().print(
            f"no shadow policy has scored a job within {short(since)}; "
            "a policy is a shadow while its file says `shadow: true`",
            soft_wrap=True,
        )


def _print(report: ShadowReport) -> None:
    version = report.version
    results().print(
        f"{version.policy}, version {version.digest[:12]}: {version.jobs:,} jobs, "
        f"from {version.first_at:%Y-%m-%d %H:%M} to {version.last_at:%Y-%m-%d %H:%M} UTC\n"
    )
    results().print(_matrix(report))
    results().print(f"\nreviews: {_reviews_text(report)}\n")
    if report.labels:
        results().print(_label_table(report))
        results().print()
    if report.differing:
        shown = len(report.differences)
        results().print(f"{report.differing:,} would be decided differently, the newest {shown} of them:\n")
        results().print(_difference_table(report.differences))
        results().print()


def _matrix(report: ShadowReport) -> Table:
    table = plain_table("decided", *(f"would be {action.value}" for action in Action))
    for decided in Action:
        counts = (report.actions.get((decided, would_be), 0) for would_be in Action)
        table.add_row(action_text(decided), *(f"{count:,}" for count in counts))
    return table


def _reviews_text(report: ShadowReport) -> str:
    change = report.reviews_would_be - report.reviews_decided
    counts = f"{report.reviews_decided:,} decided, {report.reviews_would_be:,} would be: "
    if change == 0:
        return counts + "no change"
    word = "more" if change > 0 else "fewer"
    a_day = f", {abs(report.more_reviews_a_day):.1f} {word} a day" if report.span >= A_DAY else ""
    return counts + f"{abs(change):,} {word} in {short(report.span)}{a_day}"


def _label_table(report: ShadowReport) -> Table:
    table = plain_table("label", "would be flagged on")
    for label, count in report.labels.most_common():
        table.add_row(label, f"{count:,}")
    return table


def _difference_table(differences: list[Difference]) -> Table:
    table = plain_table("submission", "reference", "decided by", "decided", "would be", "reason")
    for found in differences:
        table.add_row(
            found.submission_id,
            found.reference,
            found.decided_by,
            action_text(found.decided),
            action_text(found.would_be),
            found.reason,
        )
    return table


def _as_json(report: ShadowReport) -> dict[str, Any]:
    version = report.version
    return {
        "policy": version.policy,
        "version": version.digest,
        "jobs": version.jobs,
        "first_at": version.first_at.isoformat(),
        "last_at": version.last_at.isoformat(),
        "actions": [
            {"decided": decided.value, "would_be": would_be.value, "count": count}
            for (decided, would_be), count in sorted(report.actions.items())
        ],
        "labels": dict(report.labels.most_common()),
        "reviews_decided": report.reviews_decided,
        "reviews_would_be": report.reviews_would_be,
        "more_reviews_a_day": report.more_reviews_a_day,
        "differing": report.differing,
        "differences": [
            asdict(found) | {"created_at": found.created_at.isoformat()} for found in report.differences
        ],
    }
