"""Measure a long review queue: claims, verdicts and the desk's list, by one person and by twenty.

    python benchmarks/review_claims.py [--reviews 100000] [--postgresql] [--out FILE.json]

Every review has a decision, a flagged label and a stored embedding, as a worker writes them. The rival is a
naive claim: read the first unclaimed row, claim it if it is still unclaimed, and start over if another person
was faster. It returns a bare id and ignores opt-outs, second looks, skips and similar pictures.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from circumstances import circumstances, postgresql
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import insert, select, text, update

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.policies.policy import Action, Label, Policy
from worker.domain.reviews.review import ClaimToken
from worker.domain.reviews.verdict import Answer
from worker.errors import DatabaseUnavailableError
from worker.store.engine.database import Database
from worker.store.engine.tables import (
    DecisionRow,
    EmbeddingRow,
    LabelScoreRow,
    PolicyVersionRow,
    ReviewRow,
    SubmissionRow,
)
from worker.store.reviews import review_counts, review_search
from worker.store.reviews.review_search import ReviewFilters
from worker.store.upgrade import schema
from worker.usecases.reviews.claim_review import ClaimedReviews, ClaimReview
from worker.usecases.reviews.settle_review import SettleReview

SEED = 20
DIMENSION = 512
MODEL = "m" * 64
POLICY = Policy("default", ("an ordinary picture",), (Label("weapons", ("a handgun",), review=0.5),))
PEOPLE = 20
LOOKS = 200
#: Seconds that a quick person takes for a verdict.
PAUSE = 2.0
LEASE = timedelta(minutes=5)
BATCH = 5_000
ALLOW = Answer(Action.ALLOW, frozenset())

Work = Callable[[str], object]


def main(
    sizes: Annotated[list[int] | None, typer.Option("--reviews", min=5_000, help="Open reviews.")] = None,
    with_postgresql: Annotated[bool, typer.Option("--postgresql", help="PostgreSQL too.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print what a claim, a verdict and a list cost."""
    run = circumstances(__file__, "sqlalchemy", "psycopg")
    figures: dict[str, Any] = {}
    for reviews_open in sizes or [5_000, 100_000]:
        with tempfile.TemporaryDirectory() as folder:
            figures[f"SQLite, {reviews_open:,} open"] = measure(f"sqlite:///{folder}/queue.db", reviews_open)
        if with_postgresql:
            with postgresql() as url:
                figures[f"PostgreSQL, {reviews_open:,} open"] = measure(url, reviews_open)
    show(figures)
    if out:
        out.write_text(json.dumps(run | {"figures": figures}, indent=1) + "\n", encoding="utf-8")


def measure(url: str, count: int) -> dict[str, float]:
    """Return milliseconds and claims a second for a queue of this many open reviews."""
    database = Database.connect(url)
    try:
        schema.upgrade(database)
        _fill(database, count)
        claim = ClaimReview(database, LEASE, group_cosine=0.98, golden_share=0.0)
        settle = SettleReview(database)

        def look(name: str) -> None:
            settle(Reviewer(name), _tokens(_claim(claim, name)), ALLOW)

        rush = f"{PEOPLE} without a pause"
        figures = {
            "claim alone, ms": _median(lambda: claim(Reviewer("ada")), LOOKS),
            "the desk's list and counts, ms": _median(lambda: _list(database), 20),
            **_timed("claim and verdict, one person", look, 1),
            **_timed(f"claim and verdict, {PEOPLE} people, each every {PAUSE:.0f} s", look, PEOPLE, PAUSE),
            **_timed(f"claim and verdict, {rush}", look, PEOPLE),
            **_timed(f"the rival's claim, {rush}", lambda name: _naive(database, name), PEOPLE),
            **_timed(f"claim alone, {rush}", lambda name: _claim(claim, name), PEOPLE),
        }
        _require(database, 3 * LOOKS)
        return figures
    finally:
        database.dispose()


def _timed(name: str, work: Work, people: int, pause: float = 0.0) -> dict[str, float]:
    """Have this many people do it `LOOKS` times in all; return the rate and the 95th percentile of the times.

    With a `pause`, the average seconds before each, return the percentile only: the rate says nothing then.
    """
    took: list[float] = []

    def day(person: int) -> None:
        dice = random.Random(person)
        for _ in range(LOOKS // people):
            time.sleep(dice.uniform(0, 2 * pause))
            started = time.perf_counter()
            work(f"person-{person}")
            took.append(time.perf_counter() - started)

    started = time.perf_counter()
    with ThreadPoolExecutor(people) as executor:
        list(executor.map(day, range(people)))
    rate = {f"{name}, a second": len(took) / (time.perf_counter() - started)}
    return ({} if pause else rate) | {f"{name}, 95th percentile, ms": 1000 * float(np.quantile(took, 0.95))}


def _median(work: Callable[[], object], times: int) -> float:
    took = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return 1000 * float(np.median(took))


def _claim(claim: ClaimReview, name: str) -> ClaimedReviews:
    found = claim(Reviewer(name))
    if found is None:
        raise RuntimeError("the queue is empty")
    return found


def _require(database: Database, settled: int) -> None:
    """Raise RuntimeError unless every look gave one verdict on one review: doing less must not win."""
    with database.reading() as session:
        verdicts = session.scalar(text("SELECT count(*) FROM verdicts"))
        done = session.scalar(text("SELECT count(*) FROM reviews WHERE state = 'settled'"))
    if not verdicts == done == settled:
        raise RuntimeError(f"{verdicts} verdicts and {done} settled reviews instead of {settled}")


def _naive(database: Database, name: str) -> None:
    now = datetime.now(UTC)
    free = (ReviewRow.state == "open", ReviewRow.claimed_by.is_(None))
    first = select(ReviewRow.id).where(*free).order_by(ReviewRow.priority.desc(), ReviewRow.id).limit(1)
    while True:
        with database.reading() as session:
            review_id = session.scalar(first)
        taken = update(ReviewRow).where(ReviewRow.id == review_id, *free).returning(ReviewRow.id)
        try:
            with database.transaction() as session:
                claimed = session.scalar(taken.values(claimed_by=name, claimed_until=now + LEASE, fence=1))
        except DatabaseUnavailableError:
            continue
        if claimed is not None:
            return


def _list(database: Database) -> None:
    with database.reading() as session:
        review_search.page(session, ReviewFilters(), limit=51)
        review_counts.waiting(session, datetime.now(UTC))


def _tokens(found: ClaimedReviews) -> list[ClaimToken]:
    return [ClaimToken(one.id, one.fence) for one in (found.review, *found.alike)]


def _fill(database: Database, count: int) -> None:
    normal = np.random.default_rng(SEED)
    with database.transaction() as session:
        session.execute(insert(PolicyVersionRow), [{"digest": POLICY.digest, "name": "default", "text": "-"}])
    for start in track(range(0, count, BATCH), description=f"{count:,} reviews", transient=True):
        numbers = range(start, min(start + BATCH, count))
        vectors = normal.standard_normal((len(numbers), DIMENSION), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        parts = list(zip(numbers, vectors.astype("<f2"), strict=True))
        with database.transaction() as session:
            for table, row in _ROWS.items():
                session.execute(insert(table), [row(*part) for part in parts])
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _submission(n: int, _vector: Any) -> dict[str, Any]:
    source = {"kind": "file", "path": f"{n}.jpg"}
    names = {"id": f"upload-{n}", "reference": f"post-{n}", "policy": "default", "state": "decided"}
    return names | {"sha256": _digest(n), "source": source}


def _decision(n: int, _vector: Any) -> dict[str, Any]:
    return {
        "id": n + 1,
        "submission_id": f"upload-{n}",
        "policy": "default",
        "policy_digest": POLICY.digest,
        "model": "random",
        "model_digest": MODEL,
        "action": "review",
        "labels": ["weapons"],
        "severity": 1 + n % 5,
        "reason": "weapons 0.81 (review at 0.5)",
        **_facts(n),
    }


def _score(n: int, _vector: Any) -> dict[str, Any]:
    phrases = {"prompt": "a handgun", "background": "an ordinary picture"}
    cosines = {"prompt_cosine": 0.3, "background_cosine": 0.2}
    label = {"decision_id": n + 1, "position": 0, "label": "weapons", "flagged": True, "score": 0.81}
    return label | phrases | cosines | {"frame": 0}


def _embedding(n: int, vector: Any) -> dict[str, Any]:
    return _facts(n) | {"model_digest": MODEL, "dimension": DIMENSION, "vectors": vector.tobytes()}


def _review(n: int, _vector: Any) -> dict[str, Any]:
    return {"decision_id": n + 1, "kind": "decision", "state": "open", "priority": 1 + n % 5 + 1 / (n + 2)}


def _facts(n: int) -> dict[str, Any]:
    return {"sha256": _digest(n), "format": "JPEG", "width": 1280, "height": 960, "frames": 1}


def _digest(n: int) -> str:
    return sha256(b"%d" % n).hexdigest()


_ROWS: dict[Any, Callable[[int, Any], dict[str, Any]]] = {
    SubmissionRow: _submission,
    DecisionRow: _decision,
    LabelScoreRow: _score,
    EmbeddingRow: _embedding,
    ReviewRow: _review,
}


def show(figures: dict[str, dict[str, float]]) -> None:
    """Print a column for each queue."""
    table = Table("", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for queue in figures:
        table.add_column(queue, justify="right")
    for name in next(iter(figures.values())):
        table.add_row(name, *(f"{column[name]:,.1f}" for column in figures.values()))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
