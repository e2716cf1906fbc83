"""Database faults: stopped, connections cut, locked, full, and migrated under load."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
from faults.fault import Skipped, fault
from faults.load import Load
from faults.scene import POSTGRESQL, SQLITE, Scene
from support.broken_rows import broken_rows
from support.deployment import wait_for
from support.pgbouncer import IGNORING_OPTIONS, pgbouncers, running_pgbouncer

DOWN_SECONDS = 8
LOCKED_SECONDS = 15
LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


@fault("PostgreSQL stopped at once and started again", databases=(POSTGRESQL,), rounds=2)
def stopped(scene: Scene, load: Load) -> Iterator[None]:
    assert scene.postgres
    with load.flowing():
        load.wait_for_decisions(20)
        load.mark_injection()
        scene.postgres.end(signal.SIGQUIT)
        time.sleep(DOWN_SECONDS)
        scene.postgres.start()
        time.sleep(2)
    yield


@fault("every session of PostgreSQL terminated, five times", databases=(POSTGRESQL,))
def terminated(scene: Scene, load: Load) -> Iterator[None]:
    assert scene.postgres
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'moderation%'"
    )
    with psycopg.connect(scene.postgres.place.url("postgres"), autocommit=True) as connection, load.flowing():
        load.wait_for_decisions(20)
        for _ in range(5):
            load.mark_injection()
            connection.execute(others)
            time.sleep(1)
    yield


@fault("PgBouncer pools transactions, killed and started again twice", databases=(POSTGRESQL,))
def pooled(scene: Scene, load: Load) -> Iterator[None]:
    assert scene.postgres
    *_, program = pgbouncers().values()
    if program is None:
        raise Skipped("needs PgBouncer: sudo apt-get install pgbouncer")
    with (
        running_pgbouncer(program, scene.postgres.place.folder, IGNORING_OPTIONS) as bouncer,
        scene.pool.restarted_with(MODERATION_DATABASE_URL=bouncer.url("moderation")),
    ):
        with load.flowing():
            load.wait_for_decisions(20)
            for _ in range(2):
                load.mark_injection()
                bouncer.stop()
                time.sleep(DOWN_SECONDS / 2)
                bouncer.start()
                load.wait_for_decisions(load.count_decisions() + 10)
        yield


@fault("SQLite locked for 15 s by another process", databases=(SQLITE,))
def locked(scene: Scene, load: Load) -> Iterator[None]:
    file = scene.deployment.database.address.file
    with load.flowing():
        load.wait_for_decisions(20)
        command = [sys.executable, "-c", LOCK, str(file), str(LOCKED_SECONDS)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
            try:
                assert holder.stdout
                assert holder.stdout.readline() == b"locked\n"
                load.mark_injection()
                holder.wait(LOCKED_SECONDS + 30)
            finally:
                holder.kill()
    yield


@fault("the database's disk full for 8 s")
def full(scene: Scene, load: Load) -> Iterator[None]:
    if not scene.disk.is_small:
        raise Skipped("needs root, to mount a small disk")
    with load.flowing():
        load.wait_for_decisions(20)
        with scene.disk.full():
            load.mark_injection()
            time.sleep(DOWN_SECONDS)
        _restart_postgres(scene, load)
        time.sleep(2)
    yield


def _restart_postgres(scene: Scene, load: Load) -> None:
    """Restart PostgreSQL as an operator would, if it stopped because of the full disk."""
    server = scene.postgres
    time.sleep(1)
    if server and server.process and server.process.poll() is not None:
        load.notes.append("PostgreSQL stopped and was restarted")
        server.start()


@fault("an unforeseen database error while submissions are claimed")
def unforeseen_while_claimed(scene: Scene, load: Load) -> Iterator[None]:
    """Raise an error that is not retried, for every second submission that is only on the queue."""
    yield from _broken(scene, load, "submissions", "id")


@fault("an unforeseen database error while decisions are recorded")
def unforeseen_while_recorded(scene: Scene, load: Load) -> Iterator[None]:
    yield from _broken(scene, load, "decisions", "submission_id")


def _broken(scene: Scene, load: Load, table: str, column: str) -> Iterator[None]:
    with load.flowing():
        load.wait_for_decisions(10)
        database = scene.deployment.database
        with broken_rows(database, f"{column} LIKE '{load.prefix}.broken.%'", table=table):
            load.mark_injection()
            broken, others = load.submissions(40, "broken"), load.submissions(40)
            load.enqueue([one for pair in zip(broken, others, strict=True) for one in pair])
            time.sleep(DOWN_SECONDS)
            wait_for(lambda: load.count_decided(others) == len(others), what="the neighbours to be decided")
            assert load.count_decided(broken) == 0, "a submission that the database refused is decided"
    yield


@fault("moderate db upgrade three times under load")
def migrated(scene: Scene, load: Load) -> Iterator[None]:
    with load.flowing():
        load.wait_for_decisions(10)
        for _ in range(3):
            load.mark_injection()
            command = [sys.executable, "-m", "worker", "db", "upgrade"]
            subprocess.run(command, env=scene.pool.environment, check=True, capture_output=True)
    yield
