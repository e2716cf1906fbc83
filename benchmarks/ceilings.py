"""Measure the machine's upper limit for each kind of work that a decision needs.

    python benchmarks/ceilings.py [--rounds 5] [--postgresql] [--out FILE.json]

Matrix products in each precision, decoding of JPEGs of 1600 x 1200 (by Pillow, at full size and scaled down
by libjpeg), fsync, Redis, Celery's messages, and both databases as the service opens them. PostgreSQL is that
of the tests, which commits without waiting for its disk.
"""

import io
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import redis
import torch
import typer
from celery import Celery
from circumstances import circumstances, postgresql
from orderly_exit import leave_in_order
from our_worker import wait
from PIL import Image
from rich.console import Console
from rich.progress import track
from sqlalchemy import Column, Integer, MetaData, Table, Text, insert
from turns import summary, table

from worker.bench.pictures import SIZE, draw
from worker.stage.processes import running, wait_until
from worker.stage.redis_server import running_redis
from worker.store.engine.database import Database

CORES = os.cpu_count() or 1
SIDE = 2048
JPEGS = 24
MESSAGES = 1_000
TRANSACTIONS = 300
THREADS = 16
ROWS, ROWS_AT_ONCE = 20_000, 1_000

#: Does some work and returns the number of units done.
Work = Callable[[], float]


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 5,
    with_postgresql: Annotated[bool, typer.Option("--postgresql", help="PostgreSQL too.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print the rates per second."""
    leave_in_order()
    run = circumstances(__file__, "torch", "pillow", "celery", "redis", "sqlalchemy", "psycopg")
    run |= {"rounds": rounds, "threads": {"torch": torch.get_num_threads(), "many": THREADS}}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        works = _products() | _decoders() | {"files of 4 KB confirmed by the disk": _disk(folder)}
        works |= _redis(folder, stack)
        works |= _database("SQLite (WAL)", f"sqlite:///{folder / 'rows.db'}", stack)
        if with_postgresql:
            works |= _database("PostgreSQL", stack.enter_context(postgresql()), stack)
        run["a second"] = _measure(works, rounds)
    Console().print(run["machine"])
    Console().print(table(run["a second"], "a second"))
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _measure(works: dict[str, Work], rounds: int) -> dict[str, dict[str, float]]:
    """Measure all by turns; the first round warms up."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for turn in track(range(rounds + 1), description="measuring", console=Console(stderr=True)):
        for name, work in works.items():
            started = time.perf_counter()
            done = work()
            if turn:
                rates[name].append(done / (time.perf_counter() - started))
    return {name: summary(found) for name, found in rates.items()}


def _products() -> dict[str, Work]:
    """Return matrix products, in 10^9 operations; a multiply-add counts as two."""
    left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    whole = [torch.randint(-128, 127, (SIDE, SIDE), dtype=torch.int8) for _ in range(2)]
    half = left.bfloat16(), right.bfloat16()
    products = {
        "matrix product, float32, GFLOP": lambda: torch.mm(left, right),
        "matrix product, bfloat16, GFLOP": lambda: torch.mm(*half),
        # The kernel of torch; OpenVINO and ONNX Runtime have others.
        "matrix product, int8 (torch), GOP": lambda: torch._int_mm(*whole),  # noqa: SLF001 - its only name
    }
    return {name: _repeated(product, 5, 2 * SIDE**3 / 1e9) for name, product in products.items()}


def _repeated(do: Callable[[], object], times: int, each: float) -> Work:
    def work() -> float:
        for _ in range(times):
            do()
        return times * each

    return work


def _decoders() -> dict[str, Work]:
    files = [draw(seed) for seed in range(JPEGS)]

    def whole(data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as image:
            image.load()

    def scaled(data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (SIZE[0] // 4, SIZE[1] // 4))
            image.load()

    def on(threads: int, decode: Callable[[bytes], None]) -> Work:
        def work() -> float:
            with ThreadPoolExecutor(threads) as executor:
                list(executor.map(decode, files))
            return len(files)

        return work

    return {
        "JPEG decoded whole, one thread": on(1, whole),
        "JPEG decoded whole, a thread a core": on(CORES, whole),
        "JPEG decoded at a quarter, one thread": on(1, scaled),
        "JPEG decoded at a quarter, a thread a core": on(CORES, scaled),
    }


def _disk(folder: Path) -> Work:
    block = secrets.token_bytes(4096)

    def work() -> float:
        with (folder / "block").open("wb") as file:
            for _ in range(100):
                file.write(block)
                file.flush()
                os.fsync(file.fileno())
        return 100

    return work


def _redis(folder: Path, stack: ExitStack) -> dict[str, Work]:
    url = stack.enter_context(running_redis(folder))
    connection = stack.enter_context(redis.Redis.from_url(url))
    app = stack.enter_context(Celery(broker=url, set_as_current=False))
    queue = stack.enter_context(_empty_tasks(folder, url))

    def publish(to: str) -> float:
        for n in range(MESSAGES):
            app.send_task("rival.nothing", (f"picture-{n}",), queue=to)
        return MESSAGES

    def publish_alone() -> float:
        done = publish("unread")
        connection.delete("unread")
        return done

    def publish_and_consume() -> float:
        publish(queue)
        wait(lambda: not connection.llen(queue) and not connection.hlen("unacked"), "Celery's worker")
        return MESSAGES

    return {
        "Redis round trips": _repeated(connection.ping, 2 * MESSAGES, 1),
        "Celery messages published": publish_alone,
        "Celery messages published and consumed": publish_and_consume,
    }


@contextmanager
def _empty_tasks(folder: Path, url: str) -> Iterator[str]:
    """Run a worker with threads, like ours, whose tasks do nothing; yield its queue."""
    environment = {"RIVAL_BROKER": url, "PYTHONPATH": str(Path(__file__).parent / "rivals")}
    command = [sys.executable, "-m", "celery", "-A", "empty_task", "worker", "-P", "threads"]
    command += ["-c", str(THREADS), "--prefetch-multiplier", "1", "--loglevel", "INFO"]
    log = folder / "empty.log"
    with running(command, log=log, environment=environment) as process:
        wait_until(
            lambda: b"ready." in log.read_bytes(),
            process=process,
            log=log,
            what="the worker of empty tasks",
            timeout_seconds=60,
        )
        yield "empty"


def _database(name: str, url: str, stack: ExitStack) -> dict[str, Work]:
    database = Database.connect(url)
    stack.callback(database.dispose)
    rows = Table("rows", MetaData(), Column("id", Integer, primary_key=True), Column("text", Text))
    if database.address.file:
        database.address.file.touch()
    with database.migrating() as connection:
        rows.metadata.create_all(connection)
    value = {"text": "x" * 200}

    def commit(_: object = None) -> None:
        with database.transaction() as session:
            session.execute(insert(rows), [value])

    def many_commits() -> float:
        with ThreadPoolExecutor(THREADS) as executor:
            list(executor.map(commit, range(TRANSACTIONS)))
        return TRANSACTIONS

    def bulk() -> float:
        for _ in range(ROWS // ROWS_AT_ONCE):
            with database.transaction() as session:
                session.execute(insert(rows), [value] * ROWS_AT_ONCE)
        return ROWS

    return {
        f"{name}: transactions of one row": _repeated(commit, TRANSACTIONS, 1),
        f"{name}: the same, {THREADS} threads": many_commits,
        f"{name}: rows, {ROWS_AT_ONCE:,} in a transaction": bulk,
    }


if __name__ == "__main__":
    typer.run(main)
