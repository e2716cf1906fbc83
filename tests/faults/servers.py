"""Servers that can be killed, frozen and restarted at the same address: Redis, PostgreSQL, a small disk."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import redis
from support.deployment import wait_for
from support.postgres import NOBODY, PostgresServer, open_folder, programs_in

from worker.stage.redis_server import free_port, redis_executable

DISK_BYTES = 600 * 2**20
STOP_SECONDS = 30


@dataclass
class Server:
    """A process that can be restarted with the same command, and never outlives its block."""

    command: Sequence[str | Path]
    log: Path
    options: dict[str, object] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(part) for part in self.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **self.options,
            )
        return self.process

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int) -> None:
        """Send a signal that ends it, and wait for its exit."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)
        self.signal(number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Redis(Server):
    """A Redis configured as in `docker-compose.yml`: an append-only file, no eviction."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        folder.mkdir()
        keeps = ["--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction"]
        command = [
            redis_executable(),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            folder,
            *keeps,
        ]
        super().__init__(command, folder / "redis.log")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def connect(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5, socket_connect_timeout=2)

    def start(self) -> "subprocess.Popen[bytes]":
        process = super().start()
        with self.connect() as connection:
            wait_for(lambda: _answers(connection), what=f"Redis, see {self.log}", seconds=30)
        return process


def _answers(connection: redis.Redis) -> bool:
    with suppress(redis.RedisError):
        return bool(connection.ping())
    return False


class Postgres(Server):
    """A PostgreSQL that listens only on a socket in its folder."""

    def __init__(self, programs: Path, data: Path) -> None:
        self.place = PostgresServer(data, programs)
        self.place.make_files()
        options: dict[str, object] = {}
        if os.geteuid() == 0:
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        small = ["-c", "min_wal_size=32MB", "-c", "max_wal_size=64MB"]
        command = [programs / "postgres", "-D", data, "-k", data, "-h", "", "-F", *small]
        super().__init__(command, data.parent / "postgres.log", options)

    def start(self) -> "subprocess.Popen[bytes]":
        process = super().start()
        wait_for(self._answers, what=f"PostgreSQL, see {self.log}", seconds=30)
        return process

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.place.url("postgres")).close()
            return True
        return False


@contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    server = Redis(folder)
    server.start()
    try:
        yield server
    finally:
        server.end(signal.SIGKILL)


@contextmanager
def postgres_server(disk: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL with its data on `disk`."""
    with open_folder(None) as programs:
        server = Postgres(programs_in(programs), disk / "data")
        server.start()
        try:
            yield server
        finally:
            server.end(signal.SIGINT)


@dataclass(frozen=True)
class Disk:
    """A folder for a database, on a small disk if this user may mount one."""

    folder: Path
    is_small: bool

    @contextmanager
    def full(self) -> Iterator[None]:
        """Fill the disk to the last byte while the block runs."""
        ballast = self.folder / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(2**16))
            with ballast.open("ab", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(b"\0")
            yield
        finally:
            ballast.unlink(missing_ok=True)


@contextmanager
def small_disk() -> Iterator[Disk]:
    """Mount a small disk in memory; yield a plain folder if this user may not."""
    folder = Path(tempfile.mkdtemp(prefix="faults-disk-"))
    folder.chmod(0o755)
    options = f"size={DISK_BYTES},mode=755"
    mounting = ["mount", "-t", "tmpfs", "-o", options, "moderation-faults", folder]
    mounted = os.geteuid() == 0 and bool(shutil.which("mount")) and not _fails(mounting)
    try:
        yield Disk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.rmtree(folder)


def _fails(command: Sequence[str | Path]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode != 0
