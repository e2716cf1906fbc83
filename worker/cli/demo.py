"""`moderate demo`: uploads judged by a real worker, then a category added in words while it runs."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax

from worker.cli.console import progress_bar, results
from worker.cli.decisions import print_table
from worker.client import Client, LocalFile
from worker.demo.stage import Stage, running_worker, set_stage
from worker.domain.policy import Action
from worker.errors import UnavailableError
from worker.policy_files.parser import read_policy
from worker.store import decisions as store

EPILOG = """Starts a Redis of its own unless MODERATION_BROKER_URL is set, works in var/demo, and leaves no
process behind.

Exit codes: 0 done, 3 something it needs is unreachable."""

NEW_CATEGORY = """
  gambling:
    prompts: [a slot machine, a game die, playing cards, a joker card]
    review: 0.5
"""
#: Far above what a slow machine takes; a demo that hangs must end with the reason.
PATIENCE_SECONDS = 120


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo's database, pictures and policies go.")] = Path(
        "var/demo"
    ),
) -> None:
    """See uploads judged by a real worker through a real Redis, then add a category in words."""
    console = results()
    signal.signal(signal.SIGTERM, _leave)
    with set_stage(folder) as stage:
        _show_stage(console, stage)
        started = time.monotonic()
        with (
            running_worker(stage.settings, folder / "worker.log") as process,
            Client(stage.settings.broker_url, queue=stage.settings.queue) as client,
        ):
            console.print(
                f"[bold]Worker[/]    process {process.pid}, ready after {time.monotonic() - started:.1f} s"
            )
            _first_round(console, stage, client)
            _add_category(console, stage, client)
            _second_round(console, stage, client)
            console.print(f"The worker was never restarted: still process {process.pid}.")
    _show_what_next(console, stage)


def _show_stage(console: Console, stage: Stage) -> None:
    redis = "of our own" if stage.own_redis else "as configured"
    console.print(f"[bold]Redis[/]     {redis}, queue {stage.settings.queue}")
    console.print(f"[bold]Database[/]  {stage.database.describe}, tables created")
    console.print(f"[bold]Policy[/]    {stage.policy_file}, model: the bundled sticker world")


def _first_round(console: Console, stage: Stage, client: Client) -> None:
    found = _judge_uploads(console, stage, client, "first")
    flagged = [decision for decision in found if decision.action is not Action.ALLOW]
    allowed = [decision for decision in found if decision.action is Action.ALLOW]
    console.print("\n[bold]What needs somebody's attention[/]\n")
    print_table(flagged, times=False)
    console.print(f"\n[bold]Allowed[/]: {len(allowed)}, of them\n")
    print_table(allowed[:5], times=False)


def _add_category(console: Console, stage: Stage, client: Client) -> None:
    """Append the category to the policy's labels and wait until the worker decides by it."""
    console.print(f"\n[bold]A category that the policy does not have, saved to {stage.policy_file}:[/]")
    text = stage.policy_file.read_text(encoding="utf-8")
    head, labels, rest = text.partition("\nlabels:")
    stage.policy_file.write_text(head + labels + NEW_CATEGORY.rstrip() + rest, encoding="utf-8")
    console.print(Syntax(NEW_CATEGORY.strip("\n"), "yaml", background_color="default"))
    policy, _ = read_policy(stage.policy_file)
    started = time.monotonic()
    probe = stage.uploads()[0]
    for attempt in range(PATIENCE_SECONDS):
        submission = client.submit(LocalFile(probe.name), id=f"probe:{attempt}", reference=probe.name)
        (decision,) = _decided(stage, [submission])
        if decision.policy_digest == policy.digest:
            break
        time.sleep(0.3)
    console.print(f"\nLive {time.monotonic() - started:.1f} s after saving.")


def _second_round(console: Console, stage: Stage, client: Client) -> None:
    found = _judge_uploads(console, stage, client, "second")
    console.print("\n[bold]What the new category flags[/]\n")
    print_table([decision for decision in found if "gambling" in decision.flagged], times=False)
    console.print()


def _judge_uploads(
    console: Console, stage: Stage, client: Client, batch: str
) -> list[store.RecordedDecision]:
    """Enqueue every upload and wait for its decision."""
    started = time.monotonic()
    ids = [
        client.submit(LocalFile(file.name), id=f"{batch}:{n}", reference=file.name)
        for n, file in _numbered(stage)
    ]
    with progress_bar() as progress:
        task = progress.add_task("judging uploads", total=len(ids))
        found = _decided(stage, ids, lambda done: progress.update(task, completed=done))
    counts = ", ".join(f"{sum(d.action is action for d in found)} {action.value}" for action in Action)
    console.print(f"[bold]Judged[/]    {len(found)} uploads in {time.monotonic() - started:.1f} s: {counts}")
    return sorted(found, key=lambda d: (d.action is not Action.BLOCK, -d.severity, d.reference))


def _numbered(stage: Stage) -> Iterator[tuple[int, Path]]:
    return enumerate(stage.uploads())


def _decided(
    stage: Stage, ids: list[str], show: Callable[[int], None] = lambda _: None
) -> list[store.RecordedDecision]:
    """Wait until all of `ids` are decided; `show` is told how many are."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with stage.database.reading() as session:
            found = store.of_submissions(session, ids)
        show(len(found))
        if len(found) == len(ids):
            return found
        time.sleep(0.1)
    raise UnavailableError(f"only {len(found)} of {len(ids)} uploads were decided in {PATIENCE_SECONDS} s")


def _show_what_next(console: Console, stage: Stage) -> None:
    database = f"MODERATION_DATABASE_URL={stage.settings.database_url}"
    console.print("\n[bold]Try next[/]")
    for command in (
        f"{database} moderate decisions --label gambling",
        f"moderate scan {stage.settings.media_root} --json",
        f'moderate classify {stage.settings.media_root} --labels "fox,bear,pistol,pizza"',
        f"moderate policy check {stage.policy_file}",
    ):
        console.print(f"  {escape(command)}", soft_wrap=True)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Turn SIGTERM into an exception, so that every child is stopped on the way out."""
    raise KeyboardInterrupt
