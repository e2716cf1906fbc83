"""`moderate outbox`: lists, replays and tests the events that notify the platform of decisions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from moderation_client.callback import callback_of
from moderation_client.url import without_query
from moderation_client.webhooks import new_secret
from rich.text import Text

from worker.cli.terminal.console import messages, plain_table, print_json, results
from worker.cli.terminal.durations import short
from worker.domain.evaluation.wording import up_to
from worker.domain.moderation.in_force import InForce
from worker.domain.operations.event_type import EventType
from worker.errors import InvalidSubmissionError, UsageError
from worker.settings import Settings
from worker.store.engine.counting import MOST
from worker.store.notifications.outbox import EventState, OutboxEvent
from worker.store.upgrade import schema
from worker.usecases.operations.manage_events import ManageEvents
from worker.wiring.components import open_database
from worker.wiring.notifications import sample_event_sender

app = typer.Typer(no_args_is_help=True, help="The events that notify the platform of decisions.")

_EXIT_CODES = "Exit codes: 0 done, 2 wrong usage, 3 the database is not usable."
_STYLES = {EventState.PENDING: "yellow", EventState.DELIVERED: "green", EventState.GIVEN_UP: "bold red"}


@app.command(
    "list",
    epilog=f"""Examples:

[bold]moderate outbox list --state given_up[/]

[bold]moderate outbox list --submission upload-7 --json[/]

{_EXIT_CODES}""",
)
def show(
    state: Annotated[EventState | None, typer.Option(help="Only events in this state.")] = None,
    submission: Annotated[str | None, typer.Option(metavar="ID", help="Only of this submission.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show events, newest first: recipient, state, and why the last attempt failed."""
    with _events() as events:
        found = events.newest(state=state, submission_id=submission, limit=limit)
    if as_json:
        print_json([_as_json(event) for event in found.events])
        return
    _print_table(found.events)
    counts, lag = found.counts, found.lag
    total = ", ".join(f"{up_to(counts[one], MOST)} {one.value}" for one in EventState if one in counts)
    results().print(f"\n{len(found.events)} shown; in all: {total or 'no events yet'}")
    if lag.pending:
        results().print(f"the oldest pending event has waited for {short(lag.oldest)}")
    if lag.given_up:
        messages().print("to send the given-up events again: moderate outbox replay --given-up")


@app.command(
    epilog=f"""Examples:

[bold]moderate outbox replay evt_6f1d3b7e20c94a7f9f0f4f6f2f1e8a55[/]

[bold]moderate outbox replay --given-up[/]

Delivered events can be sent again too; receivers deduplicate them by id.
{_EXIT_CODES}"""
)
def replay(
    event_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="EVENT_ID...", help="As `list` shows them."),
    ] = None,
    given_up: Annotated[bool, typer.Option("--given-up", help="All events that were given up.")] = False,
) -> None:
    """Send events again, with a fresh retry schedule; workers do it within seconds."""
    wanted = list(dict.fromkeys(event_ids or []))
    if bool(wanted) == given_up:
        raise UsageError("name events, or use --given-up", hint="moderate outbox list shows them")
    with _events() as events:
        count = events.replay_given_up() if given_up else events.replay(wanted)
    results().print(f"{count} to be sent by the workers" if count else "nothing was given up")


@app.command("new-secret", epilog="Exit codes: 0 done.")
def make_secret() -> None:
    """Create a secret for signing webhooks, and print it; it is not stored."""
    typer.echo(new_secret())
    messages().print(
        "Set MODERATION_WEBHOOK_SECRETS to it and give it to the receivers. To change it, set both first: the"
        " new one, a comma, the old one; events are signed with each, until you remove the old one.",
        soft_wrap=True,
    )


@app.command(
    "send-test",
    epilog="""Examples:

[bold]moderate outbox send-test http://127.0.0.1:9000/moderated[/]

[bold]moderate outbox send-test https://platform.example/moderated --type verdict.made[/]

The event is signed with MODERATION_WEBHOOK_SECRETS; its body has "test": true.
Exit codes: 0 the receiver accepted it, 1 it answered with an error, 2 wrong usage or not allowed by
MODERATION_WEBHOOK_HOSTS, 3 it does not answer.""",
)
def send_test(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the receiver listens.")],
    kind: Annotated[EventType, typer.Option("--type", help="The event's type.")] = EventType.DECISION_MADE,
) -> None:
    """Send a signed test event once; show the receiver's answer, or what went wrong."""
    sent = sample_event_sender(Settings.read())(kind, url)
    answered = "not delivered" if sent.status is None else f"answered {sent.status}"
    line = (
        f"{kind.value} {sent.event_id} to {without_query(url)}: {answered} after {sent.seconds * 1000:.0f} ms"
    )
    results().print(line, soft_wrap=True)
    if sent.problem is not None:
        raise sent.problem


def _print_table(found: Sequence[OutboxEvent]) -> None:
    table = plain_table("event", "submission", "for", "state", "attempts", "next or settled", "last failure")
    for event in found:
        table.add_row(
            event.event_id,
            event.submission_id,
            _receiver(event),
            Text(event.state.value, _STYLES[event.state]),
            str(event.attempts),
            _time(event.next_attempt_at or event.settled_at),
            event.error or "",
        )
    results().print(table)


def _receiver(event: OutboxEvent) -> str:
    """Return an event's recipient, without the URL's query, which may be a secret."""
    try:
        return str(callback_of(event.callback))
    except InvalidSubmissionError:
        return "nobody"


def _as_json(event: OutboxEvent) -> dict[str, Any]:
    return {
        "event": event.event_id,
        "type": event.kind,
        "submission": event.submission_id,
        "decision": event.decision_id,
        **(event.in_force or InForce(0)).as_json(),
        "for": _receiver(event),
        "state": event.state.value,
        "attempts": event.attempts,
        "next_attempt_at": _iso(event.next_attempt_at),
        "error": event.error,
        "created_at": _iso(event.created_at),
        "settled_at": _iso(event.settled_at),
    }


@contextmanager
def _events() -> Iterator[ManageEvents]:
    database = open_database(Settings.read())
    try:
        schema.check(database)
        yield ManageEvents(database)
    finally:
        database.dispose()


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if time else ""


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
