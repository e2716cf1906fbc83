"""Measure lists, counts, claims and clean-up over a ledger of a month's uploads.

    python benchmarks/storage_at_size.py [--decisions 300000] [--postgresql] [--out FILE.json]

The ledger is that of the tests (`tests/support/filled.py`): one picture in twenty is the same meme, a fifth
of the decisions need a review, one event in ten waits for a receiver that hangs. The figures are medians of
five calls.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from circumstances import circumstances, postgresql
from rich.console import Console
from rich.table import Table
from sqlalchemy.orm import Session

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.filled import DEFAULT, MEME, MODEL, fill

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.policies.policy import Action
from worker.store.decisions import decision_search, decisions
from worker.store.decisions.decision_search import Cursor, Filters
from worker.store.engine.column_types import utc_now
from worker.store.engine.database import Database
from worker.store.notifications import deliveries, outbox
from worker.store.operations import archive, overview
from worker.store.operations.archive import Span
from worker.store.reviews import review_choice, review_counts, review_search, reviews, verdicts
from worker.store.reviews.review_choice import Claimant
from worker.store.reviews.review_search import ReviewFilters
from worker.store.submissions import publishing
from worker.store.upgrade import schema
from worker.usecases.operations.tidy_up import TidyUp
from worker.usecases.reviews.last_verdict import LastVerdict

TIMES = 5
PAGE = 50
NOW = utc_now()
DAY = timedelta(days=1)
CLAIMANT = Claimant(Reviewer("bob"), None)

Work = Callable[[Session], object]


def main(
    count: Annotated[int, typer.Option("--decisions", min=1_000, help="Decisions in the ledger.")] = 300_000,
    with_postgresql: Annotated[bool, typer.Option("--postgresql", help="PostgreSQL too.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print the milliseconds of each operation."""
    run = circumstances(__file__, "sqlalchemy", "psycopg")
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        figures[f"SQLite, {count:,}"] = measure(f"sqlite:///{folder}/ledger.db", count)
    if with_postgresql:
        with postgresql() as url:
            figures[f"PostgreSQL, {count:,}"] = measure(url, count)
    show(figures)
    if out:
        out.write_text(json.dumps(run | {"milliseconds": figures}, indent=1) + "\n", encoding="utf-8")


def measure(url: str, count: int) -> dict[str, float]:
    """Return the milliseconds of each operation over a ledger of this size."""
    database = Database.connect(url)
    try:
        schema.upgrade(database)
        fill(database, count)
        tidy_up = TidyUp(database, timedelta(days=60))
        whole: dict[str, Callable[[], object]] = {
            "tidying up, the first time": tidy_up,
            "tidying up, nothing to do": tidy_up,
            "the last verdict, of a popular one": lambda: LastVerdict(database)("ada"),
        }
        return {name: _median(work) for name, work in _lists(database, count).items()} | {
            name: _took(work) for name, work in whole.items()
        }
    finally:
        database.dispose()


def _lists(database: Database, count: int) -> dict[str, Callable[[], object]]:
    deep = Cursor(NOW - 25 * DAY, count // 6)

    def found(filters: Filters, after: Cursor | None = None) -> Work:
        return lambda s: decision_search.search(s, filters, after=after, limit=PAGE)

    def waiting(filters: ReviewFilters, after: tuple[float, int] | None = None) -> Work:
        return lambda s: review_search.search(s, filters, after=after, limit=PAGE)

    works: dict[str, Work] = {
        "decisions": found(Filters()),
        "decisions, deep": found(Filters(), deep),
        "decisions, blocks of a policy": found(Filters(action=Action.BLOCK, policy="default"), deep),
        "decisions, a policy of long ago": found(Filters(policy="stickers")),
        "decisions, a label": found(Filters(label="weapons")),
        "decisions, a label never allowed": found(Filters(label="weapons", action=Action.ALLOW)),
        "decisions, a reference of many": found(Filters(reference="")),
        "decisions, counted": decisions.count_by_action,
        "reviews": waiting(ReviewFilters()),
        "reviews, deep": waiting(ReviewFilters(), (3.25, count // 2)),
        "reviews, no such label": waiting(ReviewFilters(label="nosuch")),
        "reviews, a policy of long ago": waiting(ReviewFilters(policy="stickers")),
        "reviews, counted for the desk": lambda s: review_counts.waiting(s, NOW),
        "reviews that somebody holds": lambda s: reviews.held_by(s, "bob", NOW),
        "the next review": lambda s: review_choice.next_for(s, CLAIMANT, ReviewFilters(), NOW),
        "the next review of no such label": lambda s: review_choice.next_for(
            s, CLAIMANT, ReviewFilters(label="nosuch"), NOW
        ),
        "what waits, for metrics": overview.backlog,
        "what the meme inherits": lambda s: verdicts.to_inherit(s, [(MEME, DEFAULT)]),
        "whether a submission is due": publishing.is_any_due,
        "events to send while a receiver hangs": lambda s: deliveries.take(
            s, limit=16, in_flight={"hangs.example": 8}, at_once=8, lease=DAY
        ),
        "events, counted": outbox.count_by_state,
        "the archive of a day": lambda s: list(archive.stream(s, Span(NOW - DAY), MODEL)),
    }
    return {name: _rolled_back(database, work) for name, work in works.items()}


def _rolled_back(database: Database, work: Work) -> Callable[[], object]:
    def call() -> None:
        with suppress(_RollBackError), database.transaction() as session:
            work(session)
            raise _RollBackError

    return call


class _RollBackError(Exception):
    """Rolls a transaction back."""


def _median(work: Callable[[], object]) -> float:
    return float(np.median([_took(work) for _ in range(TIMES)]))


def _took(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def show(figures: dict[str, Any]) -> None:
    """Print a column for each database."""
    table = Table("milliseconds", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in figures:
        table.add_column(column, justify="right")
    for name in next(iter(figures.values())):
        table.add_row(name, *(f"{column[name]:,.1f}" for column in figures.values()))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
