"""`moderate status`: shows the whole deployment on one screen, problems first."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from moderation_client.queue_depth import QueueDepth
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from worker.cli.policy.policy_status import short_process
from worker.cli.terminal.console import ACTION_STYLES, messages, print_json, results
from worker.domain.evaluation.wording import age
from worker.domain.operations.backlog import PendingCount
from worker.domain.operations.score_drift import PolicyReport, ScoreDrift
from worker.domain.policies.policy import Action
from worker.errors import ModerationError
from worker.settings import Settings
from worker.store.operations.overview import Lately
from worker.usecases.operations.find_concerns import Concern, find_concerns
from worker.usecases.operations.survey_deployment import Records, Survey, SurveyDeployment
from worker.wiring.observability import survey_deployment

EPILOG = """Examples:

[bold]moderate status[/]

[bold]moderate status --watch 5[/]

[bold]moderate status --json[/]

Exit codes: 0 all is well, 1 something needs a person, 2 wrong usage, 3 broker or database is unreachable."""

#: Processes and policies listed; the others are counted, so that all fits one screen.
SHOWN = 6


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    watch: Annotated[
        float | None, typer.Option(min=0.5, metavar="SECONDS", help="Refresh every SECONDS, until Ctrl-C.")
    ] = None,
) -> None:
    """Show what is wrong with the deployment and what to run next; then the backlog and recent counts."""
    settings = Settings.read()
    with survey_deployment(settings) as survey:
        code = _survey_once(settings, survey, as_json=as_json)
        try:
            while watch is not None:
                time.sleep(watch)
                results().clear()
                code = _survey_once(settings, survey, as_json=as_json)
        except KeyboardInterrupt:
            messages().print()
    raise typer.Exit(code)


def _survey_once(settings: Settings, survey: SurveyDeployment, *, as_json: bool) -> int:
    """Show the deployment's current state, and return the exit code."""
    found = survey()
    concerns = find_concerns(found)
    if as_json:
        print_json(_as_json(settings, survey, found, concerns))
    else:
        results().print(_screen(settings, survey, found, concerns))
    if any(concern.is_outage for concern in concerns):
        return 3
    return 1 if concerns else 0


def _screen(
    settings: Settings, survey: SurveyDeployment, found: Survey, concerns: Sequence[Concern]
) -> RenderableType:
    parts: list[RenderableType] = [_headline(concerns), "", _facts(settings, survey, found)]
    if isinstance(found.records, Records):
        beside = Table.grid(padding=(0, 4, 0, 0))
        beside.add_row(_waiting(found.records), _happenings(found.records))
        parts += ["", beside]
    return Group(*parts)


def _headline(concerns: Sequence[Concern]) -> RenderableType:
    if not concerns:
        return Text("all is well", "bold green")
    table = _grid()
    for concern in concerns:
        cell = Text.assemble((concern.what, "bold"), ("\n-> " + concern.way_out) if concern.way_out else "")
        mark = ("not usable", "bold red") if concern.is_outage else ("not well", "bold yellow")
        table.add_row(Text(*mark), cell)
    return table


def _facts(settings: Settings, survey: SurveyDeployment, found: Survey) -> RenderableType:
    table = _grid()
    table.add_row("time", f"{found.at:%Y-%m-%d %H:%M:%S} UTC")
    table.add_row("broker", survey.broker.address)
    table.add_row("queue", Text.assemble(f"{settings.queue}: ", _depth(found.depth)))
    database = survey.database.describe
    if isinstance(found.records, ModerationError):
        table.add_row("database", Text.assemble(f"{database}: ", ("not usable", "bold red")))
        return table
    table.add_row("database", f"{database}: tables at revision {found.records.revision}")
    table.add_row("workers", _workers(found.records))
    if policies := _policies(found.records):
        table.add_row("policies", _some(f"{name} {versions}" for name, versions in policies.items()))
    return table


def _depth(depth: QueueDepth | ModerationError) -> Text:
    if isinstance(depth, ModerationError):
        return Text("not reached", "bold red")
    unacknowledged = "" if depth.unacknowledged is None else f", {depth.unacknowledged:,} unacknowledged"
    return Text(f"{depth.waiting:,} waiting{unacknowledged}")


def _workers(records: Records) -> str:
    processes = dict.fromkeys(report.process for report in sorted(records.awake, key=lambda r: r.process))
    return f"{len(processes)} alive" + (f": {_some(map(short_process, processes))}" if processes else "")


def _policies(records: Records) -> dict[str, str]:
    """Return the versions that live workers have in force, by policy."""
    versions: dict[str, dict[str, None]] = defaultdict(dict)
    for report in records.awake:
        digest, shadow = report.version
        version = (digest[:12] if digest else "none") + (" as a shadow" if shadow else "")
        versions[report.state.policy][version] = None
    return {policy: " and ".join(found) for policy, found in versions.items()}


def _waiting(records: Records) -> RenderableType:
    backlog, now = records.backlog, records.backlog.at
    rows = [("undecided submissions", backlog.undecided)]
    rows += [
        (f"for the policy {name or '(default)'}, not in force", one)
        for name, one in backlog.without_policy.items()
    ]
    rows += [("messages set aside", backlog.set_aside), ("events to be sent", backlog.outbox)]
    rows += [(f"open reviews, {kind.value}", waiting) for kind, waiting in backlog.reviews.items()]
    table = _figures("", "waiting", "oldest")
    for name, waiting in rows:
        _add(table, name, f"{waiting.count:,}", age(waiting.seconds(now)) if waiting.count else "")
    _add(table, "events given up", f"{backlog.given_up:,}", "")
    return table


def _happenings(records: Records) -> RenderableType:
    happened = records.happenings
    table = _figures("", "last hour", "last day")
    for action in Action:
        lately = happened.decisions[action]
        _add(table, Text(action.value, ACTION_STYLES[action]), *_lately(lately))
    for name, lately in (
        ("tried again", happened.tried_again),
        ("refused", happened.refused),
        ("conflicts", happened.conflicts),
    ):
        _add(table, name, *_lately(lately))
    _add(table, "dropped", "", f"{records.dropped.count:,}")
    return table


def _lately(lately: Lately) -> tuple[str, str]:
    return f"{lately.last_hour:,}", f"{lately.last_day:,}"


def _add(table: Table, name: str | Text, *figures: str) -> None:
    """Add a row; dim it if all figures are 0."""
    table.add_row(name, *figures, style="dim" if set(figures) <= {"0", ""} else "")


def _figures(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _some(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


def _as_json(
    settings: Settings, survey: SurveyDeployment, found: Survey, concerns: Sequence[Concern]
) -> dict[str, Any]:
    return {
        "well": not concerns,
        "at": found.at.isoformat(),
        "concerns": [
            {"what": one.what, "way_out": one.way_out, "is_outage": one.is_outage} for one in concerns
        ],
        "broker": {"address": survey.broker.address, "queue": settings.queue, **_broker_figures(found.depth)},
        "database": {"address": survey.database.describe, **_database_figures(found.records)},
    }


def _broker_figures(depth: QueueDepth | ModerationError) -> dict[str, Any]:
    if isinstance(depth, ModerationError):
        return {"problem": depth.message}
    return {"waiting": depth.waiting, "unacknowledged": depth.unacknowledged}


def _database_figures(records: Records | ModerationError) -> dict[str, Any]:
    if isinstance(records, ModerationError):
        return {"problem": records.message}
    backlog, happened = records.backlog, records.happenings
    return {
        "revision": records.revision,
        "workers": sorted({report.process for report in records.awake}),
        "policies": [
            {
                "policy": report.state.policy,
                "version": report.state.digest,
                "shadow": report.state.shadow,
                "process": report.process,
                "seen_at": report.seen_at.isoformat(),
            }
            for report in records.awake
        ],
        "undecided": _waiting_figures(records, backlog.undecided),
        "without_policy": {
            name: _waiting_figures(records, one) for name, one in backlog.without_policy.items()
        },
        "waiting_for": {name: _waiting_figures(records, one) for name, one in backlog.waiting_for.items()},
        "set_aside": _waiting_figures(records, backlog.set_aside),
        "outbox": _waiting_figures(records, backlog.outbox)
        | {"left_to_others": backlog.left_to_others, "given_up": backlog.given_up},
        "reviews": {kind.value: _waiting_figures(records, one) for kind, one in backlog.reviews.items()},
        "decisions": {action.value: _lately_figures(one) for action, one in happened.decisions.items()},
        "tried_again": _lately_figures(happened.tried_again),
        "refused": _lately_figures(happened.refused),
        "conflicts": _lately_figures(happened.conflicts),
        "drifts": [_drift_figures(report, *one) for report in records.scores for one in report.drifts],
        "dropped": {
            "last_day": {reason.value: count for reason, count in records.dropped.last_day.items()},
            "since": records.dropped.since and records.dropped.since.isoformat(),
        },
    }


def _drift_figures(report: PolicyReport, label: str, drift: ScoreDrift) -> dict[str, Any]:
    return {
        "policy": report.policy,
        "version": report.version,
        "version_before": report.version_before,
        "label": label,
        "kind": drift.kind.value,
        "since": drift.since.isoformat(),
        "by_version": drift.by_version,
        "share": drift.share,
        "share_before": drift.share_before,
        "moved": drift.moved,
        "quantile": drift.quantile,
        "quantile_before": drift.quantile_before,
    }


def _waiting_figures(records: Records, waiting: PendingCount) -> dict[str, Any]:
    return {"count": waiting.count, "oldest_seconds": round(waiting.seconds(records.backlog.at), 1)}


def _lately_figures(lately: Lately) -> dict[str, Any]:
    return {"last_hour": lately.last_hour, "last_day": lately.last_day}
