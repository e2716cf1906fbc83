"""`moderate demo`: a real worker judges uploads; a category is added while it runs."""

import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated

import typer
from moderation_client import Client, LocalFile
from rich.syntax import Syntax
from rich.text import Text

from worker.cli.pictures.decisions import print_table
from worker.cli.terminal.console import progress_bar, results
from worker.cli.terminal.signals import exit_cleanly
from worker.demo import demo_stage, policy_file, uploads
from worker.domain.accounts.reviewer import Reviewer, Role
from worker.domain.policies.policy import Action
from worker.errors import UnavailableError
from worker.policy_files.parser import read_policy
from worker.stage.service_processes import running_web, running_worker
from worker.stage.stage import Stage
from worker.store.decisions.decisions import RecordedDecision
from worker.usecases.accounts.manage_reviewers import ManageReviewers
from worker.usecases.moderation.follow_decisions import FollowDecisions

EPILOG = """Starts a Redis unless MODERATION_BROKER_URL is set, works in var/demo, and leaves no process
behind.

Exit codes: 0 done, 3 something it needs is unreachable."""

NEW_CATEGORY = """
  gambling:
    prompts: [a slot machine, dice, playing cards, a joker card]
    review: 0.5
"""
#: Far more than a slow machine needs; after it a demo that hangs ends with the reason.
PATIENCE_SECONDS = 120


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo's database, pictures and policies go.")] = Path(
        "var/demo"
    ),
    desk: Annotated[
        bool | None,
        typer.Option(help="End with the review desk, until Ctrl-C; by default if run in a terminal."),
    ] = None,
) -> None:
    """See uploads judged by a real worker through a real Redis, then add a category, then review."""
    exit_cleanly()
    with demo_stage(folder) as stage:
        _show_stage(stage)
        started = time.monotonic()
        with running_worker(stage.settings, stage.log) as process:
            _say("Worker", f"process {process.pid}, ready after {time.monotonic() - started:.1f} s")
            with Client(stage.settings.broker_url, queue=stage.settings.queue) as client:
                Tour(stage, client, process)()
        _show_what_next(stage)
        if sys.stdin.isatty() and sys.stdout.isatty() if desk is None else desk:
            _open_desk(stage)
        else:
            results().print("\nmoderate demo --desk ends with the review desk, and these uploads in it.")


@dataclass(frozen=True, slots=True)
class Tour:
    """The steps of the demo while its worker runs."""

    stage: Stage
    client: Client
    process: subprocess.Popen[bytes]

    def __call__(self) -> None:
        """Judge the uploads, add a category, and judge them again."""
        self._first_round()
        self._add_category()
        found = self._judge_uploads("second")
        _title("What the new category flags")
        print_table([decision for decision in found if "gambling" in decision.flagged], times=False)
        results().print(f"\nThe worker was never restarted: still process {self.process.pid}.")

    def _first_round(self) -> None:
        found = self._judge_uploads("first")
        allowed = [decision for decision in found if decision.action is Action.ALLOW]
        _title("What needs somebody's attention")
        print_table([decision for decision in found if decision.action is not Action.ALLOW], times=False)
        _title(f"Allowed: {len(allowed)}, of them")
        print_table(allowed[:5], times=False)

    def _add_category(self) -> None:
        """Add the category to the policy and wait until the worker decides by it."""
        file = policy_file(self.stage)
        _title(f"A category that the policy does not have, saved to {file}")
        head, labels, rest = file.read_text(encoding="utf-8").partition("\nlabels:")
        file.write_text(head + labels + NEW_CATEGORY.rstrip() + rest, encoding="utf-8")
        results().print(Syntax(NEW_CATEGORY.strip("\n"), "yaml", background_color="default"))
        started = time.monotonic()
        self._wait_for_version(read_policy(file)[0].digest)
        results().print(f"\nLive {time.monotonic() - started:.1f} s after saving.")

    def _wait_for_version(self, digest: str) -> None:
        probe = uploads(self.stage)[0]
        deadline = time.monotonic() + PATIENCE_SECONDS
        for attempt in count():
            submission = self.client.submit(
                LocalFile(probe.name), id=f"probe:{attempt}", reference=probe.name
            )
            if self._decided([submission])[0].policy_digest == digest:
                return
            if time.monotonic() > deadline:
                raise UnavailableError(
                    "the worker did not load the saved policy", hint=f"see {self.stage.log}"
                )
            time.sleep(0.3)

    def _judge_uploads(self, batch: str) -> list[RecordedDecision]:
        """Enqueue every upload and wait for the decisions; return the gravest first."""
        started = time.monotonic()
        ids = [
            self.client.submit(LocalFile(file.name), id=f"{batch}:{n}", reference=file.name)
            for n, file in enumerate(uploads(self.stage))
        ]
        with progress_bar() as progress:
            task = progress.add_task("judging uploads", total=len(ids))
            found = self._decided(ids, lambda done: progress.update(task, completed=done))
        counts = ", ".join(f"{sum(d.action is action for d in found)} {action.value}" for action in Action)
        _say("Judged", f"{len(found)} uploads in {time.monotonic() - started:.1f} s: {counts}")
        return sorted(found, key=lambda d: (d.action is not Action.BLOCK, -d.severity, d.reference))

    def _decided(
        self, ids: list[str], show: Callable[[int], None] = lambda _: None
    ) -> list[RecordedDecision]:
        """Wait until all of `ids` are decided; `show` is called with the number decided."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = FollowDecisions(self.stage.database).of(ids)
            show(len(found))
            if len(found) == len(ids):
                return found
            if self.process.poll() is not None or time.monotonic() > deadline:
                what = f"only {len(found)} of {len(ids)} uploads were decided"
                raise UnavailableError(what, hint=f"see what the worker says in {self.stage.log}")
            time.sleep(0.1)


def _show_stage(stage: Stage) -> None:
    _say("Broker", f"{stage.broker}, queue {stage.settings.queue}")
    _say("Database", f"{stage.database.describe}, tables created")
    _say("Policy", f"{policy_file(stage)}, model: the bundled sticker world")


def _open_desk(stage: Stage) -> None:
    """Serve the review desk with the demo's items until Ctrl-C."""
    name, password = "lea", "-".join(secrets.token_hex(2) for _ in range(4))
    ManageReviewers(stage.database).add(Reviewer(name, Role.LEAD), password)
    with running_web(stage.settings, stage.web_log) as address:
        _title("The review desk, with the uploads that need a person")
        _say("Address", address)
        _say("Name", name)
        _say("Password", password)
        results().print("\nCtrl-C ends it.")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


def _show_what_next(stage: Stage) -> None:
    """Show commands to copy and paste."""
    moderate = sys.argv[0] if Path(sys.argv[0]).name == "moderate" else f"{sys.executable} -m worker"
    media = stage.settings.media_root
    _title("Try next")
    for command in (
        f"MODERATION_DATABASE_URL={stage.settings.database_url} {moderate} decisions --label gambling",
        f"MODERATION_POLICIES={stage.settings.policies} {moderate} scan {media}",
        f'{moderate} classify {media}/owl.jpg {media}/pizza.jpg --labels "fox,bear,owl,pizza"',
        f"{moderate} policy check {policy_file(stage)}",
    ):
        results().print(f"  {command}", soft_wrap=True)


def _say(what: str, text: str) -> None:
    results().print(Text.assemble((f"{what:<10}", "bold"), text), soft_wrap=True)


def _title(text: str) -> None:
    results().print(Text(f"\n{text}\n", "bold"), soft_wrap=True)
