"""`moderate policy shadow`: compares what shadow policies would have decided with what was decided."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy.orm import Session

from worker.cli.terminal.console import action_text, messages, plain_table, print_json, results
from worker.cli.terminal.durations import Since, short
from worker.domain.policies.policy import Action
from worker.errors import UsageError
from worker.settings import Settings
from worker.store.decisions import shadow_decisions
from worker.store.decisions.shadow_decisions import Difference, ShadowVersion
from worker.store.engine.clock import database_now
from worker.store.upgrade import schema
from worker.wiring.components import open_database

EPILOG = """Examples:

[bold]moderate policy shadow[/]

[bold]moderate policy shadow strict --since 30d --limit 100 --json[/]

A policy file with `shadow: true` is scored on every job in addition to the policy that decides.
Exit codes: 0 done, 2 wrong usage, 3 the database is not usable."""

_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What one version of a shadow policy would have decided."""

    version: ShadowVersion
    #: {(decided, would be): count}.
    actions: Mapping[tuple[Action, Action], int]
    #: By label: the number of pictures on which it would be flagged.
    labels: Counter[str]
    #: The newest submissions that would be decided differently.
    differences: list[Difference]
    #: How long the version has run, within `--since`.
    span: timedelta

    @property
    def differing(self) -> int:
        """The number of submissions that would be decided differently."""
        return sum(count for (decided, would_be), count in self.actions.items() if decided != would_be)

    @property
    def reviews_decided(self) -> int:
        """The number of submissions that were sent to review."""
        return sum(n for (decided, _), n in self.actions.items() if decided is Action.REVIEW)

    @property
    def reviews_would_be(self) -> int:
        """The number of submissions that would have been sent to review."""
        return sum(n for (_, would_be), n in self.actions.items() if would_be is Action.REVIEW)

    @property
    def more_reviews_a_day(self) -> float:
        """The change in reviews per day; less than a day counts as one day."""
        return (self.reviews_would_be - self.reviews_decided) / max(self.span / _A_DAY, 1.0)


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
        with database.reading(unhurried=True) as session:
            now = database_now(session)
            found = shadow_decisions.versions(session, name=name, since=now - since)
            reports = [_report(session, version, now - since, now, limit) for version in found]
            known = shadow_decisions.names(session)
    finally:
        database.dispose()
    if name is not None and name not in known:
        raise UsageError(
            f"no shadow policy {name!r} has scored a job; there are: {', '.join(known) or 'none'}",
            hint="a policy is a shadow while its file says `shadow: true`; see moderate policy status",
        )
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


def _report(
    session: Session, version: ShadowVersion, since: datetime, now: datetime, limit: int
) -> ShadowReport:
    return ShadowReport(
        version,
        shadow_decisions.actions(session, version, since),
        shadow_decisions.labels(session, version, since),
        shadow_decisions.differences(session, version, since, limit),
        now - version.first_at,
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
    a_day = f", {abs(report.more_reviews_a_day):.1f} {word} a day" if report.span >= _A_DAY else ""
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
