"""A Redis behind a Sentinel, and one on a socket, with a raw password: everything follows from the URL."""

import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from moderation_client import Client, InlineBytes
from support.deployment import deploy, wait_for
from support.pictures import drawing, encoded

from worker.errors import BrokerUnavailableError
from worker.stage.redis_server import redis_executable
from worker.web.http.rate_limit import RateLimit

CAT = encoded(drawing(40, 40), "PNG")
PASSWORD = "p#a/b@c:d%e?f"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(folder: Path, *options: str) -> Iterator[None]:
    with (folder / f"{secrets.token_hex(4)}.log").open("wb") as log:
        process = subprocess.Popen([redis_executable(), *options], cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def socket_url() -> Iterator[str]:
    # Not pytest's folder: its path can be longer than a socket's name may be.
    with tempfile.TemporaryDirectory(prefix="redis-") as name:
        file = Path(name) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(file), "--requirepass", PASSWORD, "--save", ""]
        with server(Path(name), *options):
            client = redis.Redis(unix_socket_path=str(file), password=PASSWORD)
            wait_for(lambda: answers(client), what="Redis on its socket", seconds=20)
            yield f"unix://:{PASSWORD}@{file}?db=2"


@pytest.fixture
def sentinel_url(tmp_path: Path) -> Iterator[str]:
    primary, sentinel = _free_port(), _free_port()
    (tmp_path / "sentinel.conf").write_text(
        f"port {sentinel}\nbind 127.0.0.1\nsentinel monitor jobs 127.0.0.1 {primary} 1\n"
        f"sentinel auth-pass jobs {PASSWORD}\n"
    )
    with (
        server(
            tmp_path, "--port", str(primary), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD
        ),
        server(tmp_path, "sentinel.conf", "--sentinel"),
    ):
        names = redis.Sentinel([("127.0.0.1", sentinel)])
        wait_for(lambda: _knows(names), what="the Sentinel to know its primary", seconds=20)
        yield f"sentinel://:{PASSWORD}@127.0.0.1:{sentinel}/1?master_name=jobs"


def _knows(sentinel: redis.Sentinel) -> bool:
    try:
        return bool(sentinel.discover_master("jobs"))
    except redis.RedisError:
        time.sleep(0.1)
        return False


@pytest.mark.parametrize("place", ["socket_url", "sentinel_url"])
def test_producer_worker_and_rate_limit_meet(place, request, tmp_path, moderate):
    url = request.getfixturevalue(place)
    (tmp_path / "deployment").mkdir()
    made = deploy(tmp_path / "deployment", url, concurrency=2)
    with made.worker(), Client(url, queue=made.settings.queue) as client:
        client.ping()
        ids = [client.submit(InlineBytes(CAT)) for _ in range(2)]
        assert len(made.decided(ids)) == 2
        assert (client.depth().waiting, client.depth().unacknowledged) == (0, 0)
        assert PASSWORD not in client.address
    first, second = (RateLimit(url, "x:", per_minute=1) for _ in range(2))
    assert first.take("a") == 0
    assert second.take("a") > 0, "the tokens are not shared: the rate limit counts in its process"
    log = (made.folder / "worker.log").read_text()
    assert "Traceback" not in log
    assert PASSWORD not in log
    made.database.dispose()


def test_the_next_url_is_taken_when_the_first_does_not_answer(redis_url, tmp_path):
    url = f"redis://127.0.0.1:1/0;{redis_url}"
    made = deploy(tmp_path, url, concurrency=2)
    # A client of the first place alone has connections of its own in this process.
    with Client("redis://127.0.0.1:1/0") as stranded, pytest.raises(BrokerUnavailableError):
        stranded.submit(InlineBytes(CAT))
    with made.worker(), made.client() as client:
        ids = [client.submit(InlineBytes(CAT)) for _ in range(2)]
        assert len(made.decided(ids)) == 2
    made.database.dispose()
