"""`moderate policy status`: shows which policy versions are in force in which workers, and refused files."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.terminal.console import messages, plain_table, print_json, results
from worker.policy_files.yaml_text.folder import strays
from worker.printable import one_line
from worker.settings import Settings
from worker.store.policies.policy_states import Disagreements, ReportedState, disagreements
from worker.store.upgrade import schema
from worker.usecases.operations.worker_reports import WorkerReports
from worker.wiring.components import open_database

EPILOG = """Examples:

[bold]moderate policy status[/]

[bold]moderate policy status --json[/]

Workers report their policy versions to the database, at every change and every 30 seconds.
Exit codes: 0 all is well, 1 a file is refused or workers disagree, 2 wrong usage, 3 the database is not
usable."""


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show each worker's versions in force, since when, what was refused and why, and disagreements."""
    settings = Settings.read()
    database = open_database(settings)
    try:
        schema.check(database)
        found = WorkerReports(database).policies()
    finally:
        database.dispose()
    reports, now = found.states, found.now
    alive = [report for report in reports if not report.is_silent(now)]
    split = disagreements(alive)
    unread = strays(settings.policies)
    if as_json:
        print_json(
            _as_json(reports, split, now) | {"unread": {str(file): why for file, why in unread.items()}}
        )
    else:
        _print(reports, split, now)
        for file, why in unread.items():
            line = Text.assemble(("not read: ", "yellow"), f"{one_line(str(file))}: {why}")
            results().print("\n", line, sep="", soft_wrap=True)
    if split or any(report.state.refusal for report in alive):
        raise typer.Exit(1)


def _print(reports: Sequence[ReportedState], split: Disagreements, now: datetime) -> None:
    if not reports:
        messages().print(
            "no worker has reported to this database: start one with `moderate worker`, "
            "or set MODERATION_DATABASE_URL to the database of the running workers",
            soft_wrap=True,
        )
        return
    results().print(_table(reports, now))
    for group in _grouped(reports, lambda r: (r.state.policy, r.version, r.state.refusal)):
        if group[0].state.refusal:
            _print_refusal(group)
    for policy, holders in split.items():
        versions = "; ".join(
            f"{_version_text(*version)} in {_names(where)}" for version, where in holders.items()
        )
        line = Text.assemble((f"{policy}: workers disagree: ", "bold red"), versions)
        results().print("\n", line, sep="", soft_wrap=True)
    for process, seen_at in _silent(reports, now).items():
        line = Text.assemble(
            ("gone silent: ", "yellow"), f"{short_process(process)}, last heard of {_time(seen_at)}"
        )
        results().print("\n", line, sep="", soft_wrap=True)


def _table(reports: Sequence[ReportedState], now: datetime) -> Any:
    table = plain_table("policy", "version", "kind", "in force since", "where")
    for group in _grouped(reports, lambda r: (r.state.policy, r.version)):
        state = group[0].state
        times = [r.state.in_force_since for r in group if r.state.in_force_since]
        where = (short_process(r.process) + (" (gone silent)" if r.is_silent(now) else "") for r in group)
        table.add_row(
            state.policy,
            state.digest[:12] if state.digest else "none",
            _kind(group),
            _time(min(times)) if times else "",
            ", ".join(where),
        )
    return table


def _print_refusal(group: Sequence[ReportedState]) -> None:
    state = group[0].state
    since = _time(min(r.state.refused_at for r in group if r.state.refused_at))
    stays = f"{_version_text(*group[0].version)} stays in force" if state.digest else "no version is in force"
    head = Text.assemble(
        (f"{state.policy}: refused", "bold red"),
        f" since {since} in {_names(r.process for r in group)}; {stays}",
    )
    results().print("\n", head, sep="", soft_wrap=True)
    for line in (state.refusal or "").splitlines():
        results().print(f"    {line}", soft_wrap=True)


def _grouped(reports: Iterable[ReportedState], key: Any) -> list[list[ReportedState]]:
    groups: dict[Any, list[ReportedState]] = defaultdict(list)
    for report in reports:
        groups[key(report)].append(report)
    return list(groups.values())


def _version_text(digest: str | None, shadow: bool) -> str:
    if digest is None:
        return "no version"
    return f"version {digest[:12]}" + (" as a shadow" if shadow else "")


def _kind(group: Sequence[ReportedState]) -> str:
    if group[0].state.digest is None:
        return "refused"
    return "shadow" if group[0].state.shadow else "decides"


def _silent(reports: Iterable[ReportedState], now: datetime) -> dict[str, datetime]:
    return {report.process: report.seen_at for report in reports if report.is_silent(now)}


def short_process(process: str) -> str:
    """Return host:process-id, without the start time."""
    return process.rpartition(":")[0] or process


def _names(processes: Iterable[str]) -> str:
    return ", ".join(map(short_process, processes))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _as_json(reports: Sequence[ReportedState], split: Disagreements, now: datetime) -> dict[str, Any]:
    return {
        "processes": [
            {
                "process": group[0].process,
                "seen_at": group[0].seen_at.isoformat(),
                "silent": group[0].is_silent(now),
                "policies": [_state_as_json(report) for report in group],
            }
            for group in _grouped(sorted(reports, key=lambda r: r.process), lambda r: r.process)
        ],
        "disagreements": [
            {
                "policy": policy,
                "versions": [
                    {"version": digest, "shadow": shadow, "processes": where}
                    for (digest, shadow), where in holders.items()
                ],
            }
            for policy, holders in split.items()
        ],
    }


def _state_as_json(report: ReportedState) -> dict[str, Any]:
    state = report.state
    return {
        "policy": state.policy,
        "version": state.digest,
        "shadow": state.shadow,
        "in_force_since": state.in_force_since and state.in_force_since.isoformat(),
        "refused_at": state.refused_at and state.refused_at.isoformat(),
        "refusal": state.refusal,
    }
