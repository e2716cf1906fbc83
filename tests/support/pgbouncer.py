"""Real PgBouncers in front of the tests' PostgreSQL; without one the tests skip, but fail in CI."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from support.postgres import NOBODY

from worker.stage.redis_server import free_port

#: Environment variable with more programs to test, besides the one on PATH; separated as in PATH.
VARIABLE = "MODERATION_TEST_PGBOUNCERS"
START_SECONDS = 20
STOP_SECONDS = 20
#: Setting of deployments that followed the README before it mentioned time limits.
IGNORING_OPTIONS = "ignore_startup_parameters = options"


def pgbouncers() -> dict[str, Path | None]:
    """Return the installed programs, by version; a single None if none is installed."""
    # Debian installs it outside a user's PATH.
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    named = os.environ.get(VARIABLE, "").split(os.pathsep)
    programs = [Path(name) for name in (found, *named) if name]
    return {_version(program): program for program in programs} or {"missing": None}


def _version(program: Path) -> str:
    printed = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    return printed.split()[1]


@dataclass
class PgBouncer:
    """A PgBouncer with transaction pooling: a connection serves any client's next transaction."""

    program: Path
    folder: Path
    #: Where PostgreSQL's socket is.
    postgres: Path
    #: More lines for the section `[pgbouncer]`.
    settings: str
    port: int
    pool_size: int = 4
    _process: "subprocess.Popen[bytes] | None" = None

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def in_front_of(self, url: str) -> str:
        """Return the URL of a database of the tests' server through this PgBouncer."""
        return self.url(re.sub(r".*/([^/?]+)\?.*", r"\1", url))

    def start(self) -> None:
        file = self.folder / "pgbouncer.ini"
        file.write_text(
            f"""[databases]
* = host={self.postgres} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {self.pool_size}
max_client_conn = 200
logfile = {self.folder}/log
{self.settings}
"""
        )
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        self._process = subprocess.Popen(
            [self.program, "--quiet", file],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **user,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres")).close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"PgBouncer did not start: {(self.folder / 'log').read_text()}")

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop it; by default with SIGKILL, which cuts every connection."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(STOP_SECONDS)


@contextmanager
def running_pgbouncer(
    program: Path | None, postgres: Path, settings: str = "", pool_size: int = 4
) -> Iterator[PgBouncer]:
    """Run a PgBouncer in front of the PostgreSQL whose socket is in `postgres`."""
    if program is None:
        missing = "there is no PgBouncer: sudo apt-get install pgbouncer"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    folder.chmod(0o777)
    server = PgBouncer(program, folder, postgres, settings, free_port(), pool_size)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
