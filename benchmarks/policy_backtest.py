"""Measure how long the comparison of two policies over an archive takes, from the store to the counts.

    python benchmarks/policy_backtest.py [--rows 1000000] [--postgresql] [--folder DIR] [--out FILE.json]

Makes an archive of random unit vectors (2.4 GB for a million) and compares two policies of 100 phrases over
it. The same run also measures reading alone, scoring alone, the machine's ceilings and the naive loop over
pictures. Memory is that of a process which only compares: over a tenth of the archive, and over all of it.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import typer
from circumstances import circumstances, postgresql
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import insert, text

from worker.domain.evaluation.backtest import Backtest, widened
from worker.domain.evaluation.comparison import Change, Tally
from worker.domain.moderation.decision import decide
from worker.domain.moderation.scoring import Matrix, PhraseVectors, score
from worker.domain.policies.policy import Label, Policy
from worker.encoder.protocol import Encoder, ModelInfo
from worker.images.preprocessing import Preprocessing
from worker.store.engine.database import Database
from worker.store.engine.tables import DecisionRow, EmbeddingRow, PolicyVersionRow, SubmissionRow
from worker.store.operations import archive
from worker.store.operations.archive import Span
from worker.store.upgrade import schema
from worker.usecases.learning.load_learned import LoadLearned
from worker.usecases.policies.compare_policies import ComparePolicies

SEED = 20
DIMENSION = 512
SCALE = 100.0
BATCH = 10_000
DAYS = 30
MODEL = "m" * 64
#: Pictures that the naive loop judges; its time for all is extrapolated.
LOOP_ROWS = 5_000
#: Rows that scoring alone and the ceilings are measured on: 64 MiB of float16, more than any cache.
HELD_ROWS = 65_536
ROUNDS = 3


def policies() -> tuple[Policy, Policy]:
    """Return two policies with 100 phrases in all: 20 background phrases, and labels of 4 or more prompts."""

    def label(name: str, prompts: int, lookalikes: int, block: float | None) -> Label:
        return Label(
            name,
            tuple(f"{name} {n}" for n in range(prompts)),
            lookalikes=tuple(f"like {name} {n}" for n in range(lookalikes)),
            review=0.6,
            block=block,
        )

    background = tuple(f"background {n}" for n in range(20))
    shared = tuple(label(f"label {n}", 4, 3, 0.95 if n % 2 else None) for n in range(10))
    return (
        Policy("default", background, shared),
        Policy("default", background, (*shared[:9], label("label 10", 6, 4, None))),
    )


class RandomPhrases:
    """Fake text tower: maps each text to a random unit vector, the same one every time."""

    info = ModelInfo(
        name="random",
        digest=MODEL,
        precision="float32",
        scale=SCALE,
        bias=0.0,
        pairwise=False,
        dimension=DIMENSION,
        window=77,
        preprocessing=Preprocessing(3, width=224, height=224),
    )

    def encode_texts(self, texts: list[str]) -> Matrix:
        """Return unit vectors, shape (texts, DIMENSION)."""
        seeds = [int.from_bytes(sha256(each.encode()).digest()[:8]) for each in texts]
        return _unit(np.stack([_normal(np.random.default_rng(seed), 1)[0] for seed in seeds]))

    def encode_images(self, images: Any) -> Matrix:
        """Raise NotImplementedError: a comparison encodes no pictures."""
        raise NotImplementedError


@dataclass(frozen=True)
class Run:
    """One comparison in a child process."""

    rows: int
    changed: int
    seconds: float
    peak_mb: float
    #: Memory of the interpreter and its libraries before the comparison begins.
    idle_mb: float


def main(
    rows: Annotated[int, typer.Option(min=10_000, help="Decided submissions in the archive.")] = 1_000_000,
    with_postgresql: Annotated[
        bool, typer.Option("--postgresql", help="Measure PostgreSQL too, started for this run.")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Keep the archive here and reuse it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print the figures of a comparison."""
    old, new = policies()
    phrases = len({*old.phrases(), *new.phrases()})
    figures: dict[str, Any] = {"rows": rows, "phrases": phrases, "dimension": DIMENSION}
    with tempfile.TemporaryDirectory() as temporary:
        base = folder or Path(temporary)
        base.mkdir(parents=True, exist_ok=True)
        figures["sqlite"] = measure(f"sqlite:///{(base / f'archive-{rows}.db').absolute()}", rows)
    if with_postgresql:
        with postgresql() as url:
            figures["postgresql"] = measure(url, rows)
    figures["in memory"] = measure_in_memory(rows)
    show(figures)
    if out:
        out.write_text(
            json.dumps(
                circumstances(__file__, "numpy", "sqlalchemy", "psycopg") | {"figures": figures}, indent=1
            )
            + "\n",
            encoding="utf-8",
        )


def measure(url: str, rows: int) -> dict[str, Any]:
    """Return the figures of one database."""
    made = _make(url, rows)
    reading = min(_seconds(lambda: _read(url)) for _ in range(2))
    part, whole = (_run(url, share) for share in (0.1, 1.0))
    return {
        "making the archive, s": made,
        "store to counted flips, s": whole.seconds,
        "reading alone, s": reading,
        "changed": whole.changed,
        "memory before, MB": whole.idle_mb,
        "peak memory at 10 %, MB": part.peak_mb,
        "peak memory at 100 %, MB": whole.peak_mb,
    }


def measure_in_memory(rows: int) -> dict[str, Any]:
    """Return the times of scoring alone, of the ceilings and of the naive loop, scaled to this many rows."""
    old, new = policies()
    vectors = _vectors(old), _vectors(new)
    stored = _unit(_normal(np.random.default_rng(SEED), HELD_ROWS)).astype("<f2")
    backtest = Backtest(list(zip((old, new), vectors, strict=True)), SCALE)
    each = rows / HELD_ROWS
    scoring = _best(lambda: _score(backtest, stored, None)) * each
    counting = _best(lambda: _score(backtest, stored, Tally.of(old, new))) * each
    product, widening, bandwidth = (seconds * each for seconds in _ceilings(stored, backtest.phrase_count))
    loop = _seconds(lambda: _loop(old, new, vectors, stored)) * rows / LOOP_ROWS
    flops = 2 * rows * DIMENSION * backtest.phrase_count
    return {
        "scoring alone, s": scoring,
        "scoring and counting, s": counting,
        "matrix product alone, s": product,
        "matrix product, GFLOP/s": flops / product / 1e9,
        "share of the matrix product's ceiling": product / scoring,
        "float16 to float32 alone, s": widening,
        "reading the bytes from memory alone, s": bandwidth,
        "memory bandwidth, GB/s": rows * DIMENSION * 2 / bandwidth / 1e9,
        f"loop over pictures, s (extrapolated from {LOOP_ROWS:,})": loop,
        "times faster than the loop": loop / counting,
    }


def _make(url: str, rows: int) -> float | None:
    """Fill the database unless it is full already; return the seconds."""
    database = Database.connect(url)
    try:
        schema.upgrade(database)
        with database.reading() as session:
            if archive.count(session, _span(1.0)):
                return None
        started = time.perf_counter()
        _fill(database, rows)
        if database.engine.dialect.name == "postgresql":
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
        return time.perf_counter() - started
    finally:
        database.dispose()


def _fill(database: Database, rows: int) -> None:
    old, _ = policies()
    random, now = np.random.default_rng(SEED), datetime.now(UTC)
    with database.transaction() as session:
        session.execute(insert(PolicyVersionRow), [{"digest": old.digest, "name": "default", "text": "-"}])
    for start in track(range(0, rows, BATCH), description="making the archive", transient=True):
        numbers = range(start, min(start + BATCH, rows))
        vectors = _unit(_normal(random, len(numbers))).astype("<f2")
        digests = [sha256(b"%d" % n).hexdigest() for n in numbers]
        times = [now - timedelta(days=DAYS * (1 - n / rows)) for n in numbers]
        parts = list(zip(numbers, digests, times, vectors, strict=True))
        with database.transaction() as session:
            for table, row in (
                (SubmissionRow, _submission),
                (DecisionRow, _decision),
                (EmbeddingRow, _embedding),
            ):
                session.execute(insert(table), [row(*part) for part in parts])


def _submission(n: int, digest: str, at: datetime, _vector: Any) -> dict[str, Any]:
    source = {"kind": "file", "path": f"{digest[:2]}/{digest}.jpg"}
    names = {"id": f"upload-{n}", "reference": f"post-{n}", "policy": "default", "state": "decided"}
    return names | {"sha256": digest, "source": source, "created_at": at, "updated_at": at}


def _decision(n: int, digest: str, at: datetime, _vector: Any) -> dict[str, Any]:
    return {
        "submission_id": f"upload-{n}",
        "policy": "default",
        "policy_digest": _DIGEST,
        "model": "random",
        "model_digest": MODEL,
        "action": "allow",
        "labels": [],
        "severity": 0,
        "reason": "no label reached its threshold; nearest label 3 0.31",
        **_facts(digest),
        "created_at": at,
    }


def _embedding(_n: int, digest: str, at: datetime, vector: NDArray[np.float16]) -> dict[str, Any]:
    stored = {"model_digest": MODEL, "dimension": DIMENSION, "vectors": vector.tobytes(), "created_at": at}
    return _facts(digest) | stored


def _facts(digest: str) -> dict[str, Any]:
    return {"sha256": digest, "format": "JPEG", "width": 1280, "height": 960, "frames": 1}


def _run(url: str, share: float) -> Run:
    """Compare in a child process, so that its memory is that of the comparison."""
    command = [sys.executable, __file__, "--child", url, str(share)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Run(**json.loads(done.stdout))


def child(url: str, share: float) -> None:
    """Compare over the newest share of the archive and print a `Run` as JSON."""
    old, new = policies()
    database, idle = Database.connect(url), _peak_mb()
    started = time.perf_counter()
    compare = ComparePolicies(cast("Encoder", RandomPhrases()), MODEL, database, LoadLearned(database, MODEL))
    comparison = compare(old, new, _span(share), lambda _done, _total: None)
    seconds = time.perf_counter() - started
    tally = comparison.tally
    print(json.dumps(asdict(Run(tally.pictures, tally.changed, seconds, _peak_mb(), idle))))


def _span(share: float) -> Span:
    # The whole archive gets a year of grace: a kept archive grows older.
    return Span(datetime.now(UTC) - timedelta(days=DAYS * share + (365 if share == 1 else 0)), "default")


def _read(url: str) -> int:
    database = Database.connect(url)
    try:
        with database.reading() as session:
            return sum(len(chunk.submission_ids) for chunk in archive.stream(session, _span(1.0), MODEL))
    finally:
        database.dispose()


def _score(backtest: Backtest, stored: NDArray[np.float16], tally: Tally | None) -> None:
    """Judge vectors in memory in the store's chunks; count them if there is a tally."""
    for start in range(0, len(stored), archive.CHUNK):
        rows = stored[start : start + archive.CHUNK]
        judged = backtest.judge(rows, np.ones(len(rows), np.intp))
        if tally:
            old, new = zip(backtest.policies, judged, strict=True)
            tally.add(Change.between(old, new), np.full(len(rows), float(start)))


def _ceilings(stored: NDArray[np.float16], phrases: int) -> tuple[float, float, float]:
    """Return the seconds of the matrix product, of widening to float32, and of reading the bytes once."""
    blocks = [stored[start : start + archive.CHUNK] for start in range(0, len(stored), archive.CHUNK)]
    matrix, block = widened(stored[:phrases]), widened(blocks[0])

    def product() -> None:
        for _ in blocks:
            matrix @ block.T

    def widening() -> None:
        for rows in blocks:
            widened(rows)

    return _best(product), _best(widening), _best(lambda: stored.view(np.int64).max())


def _loop(
    old: Policy, new: Policy, vectors: tuple[PhraseVectors, PhraseVectors], stored: NDArray[np.float16]
) -> int:
    """Compare naively: score each picture by itself, under one policy and then the other."""
    changed = 0
    for row in stored[:LOOP_ROWS]:
        embedding = row[None].astype(np.float32)
        before = decide(old, score(old, embedding, vectors[0], SCALE))
        after = decide(new, score(new, embedding, vectors[1], SCALE))
        changed += before.action is not after.action or set(before.flagged) != set(after.flagged)
    return changed


def _vectors(policy: Policy) -> PhraseVectors:
    phrases = list(dict.fromkeys(policy.phrases()))
    return PhraseVectors.of(phrases, RandomPhrases().encode_texts(phrases))


def _normal(random: np.random.Generator, rows: int) -> Matrix:
    return random.standard_normal((rows, DIMENSION), dtype=np.float32)


def _unit(matrix: Matrix) -> Matrix:
    unit: Matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return unit


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _best(work: Callable[[], object]) -> float:
    return min(_seconds(work) for _ in range(ROUNDS))


def _peak_mb() -> float:
    """Return this process's peak memory, not from `getrusage`: a child inherits that from its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def show(figures: dict[str, Any]) -> None:
    """Print a table for each part."""
    console = Console()
    console.print(
        f"{figures['rows']:,} embeddings of {figures['dimension']} float16, {figures['phrases']} phrases\n"
    )
    for part, values in figures.items():
        if isinstance(values, dict):
            table = Table(part, "", box=None, header_style="bold", padding=(0, 2, 0, 0))
            for name, value in values.items():
                table.add_row(name, "-" if value is None else f"{value:,.2f}")
            console.print(table, "")


_DIGEST = policies()[0].digest

if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], float(sys.argv[3]))
    else:
        typer.run(main)
