"""A Redis behind TLS: everything that reads the broker's URL verifies certificate and host name."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from moderation_client import Client, InlineBytes
from support.deployment import Deployment, deploy
from support.pictures import drawing, encoded
from support.tls import Authority

from worker.errors import BrokerUnavailableError
from worker.stage.private_queue import private_queue
from worker.web.http.rate_limit import RateLimit

CAT = encoded(drawing(40, 40), "PNG")


@pytest.fixture(scope="module")
def redis_port(redis_url: str) -> int:
    return int(redis_url.rpartition(":")[2].partition("/")[0])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls_port(authority: Authority, redis_port: int) -> Iterator[int]:
    with authority.serving(redis_port, "127.0.0.1", "localhost") as port:
        yield port


@pytest.fixture(scope="module")
def tls_url(authority: Authority, tls_port: int) -> str:
    return f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={authority.file}"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, tls_url: str) -> Iterator[Deployment]:
    made = deploy(tmp_path_factory.mktemp("deployment"), tls_url, concurrency=2)
    yield made
    made.database.dispose()


def test_client_worker_and_status_speak_tls(deployment, moderate, redis_url):
    with deployment.worker(), deployment.client() as client:
        client.ping()
        ids = [client.submit(InlineBytes(CAT)) for _ in range(3)]
        assert len(deployment.decided(ids)) == 3
        assert client.depth().waiting == 0
    log = (deployment.folder / "worker.log").read_text()
    assert "insecure" not in log
    settings = deployment.settings
    places = {"broker_url": settings.broker_url, "database_url": settings.database_url}
    shown = moderate("status", **places, queue=settings.queue)
    assert "0 waiting, 0 unacknowledged" in shown.out
    assert "ssl_ca_certs" not in shown.out


def test_the_rate_limit_and_private_queues_speak_tls(tls_url, redis_url):
    prefix = f"{secrets.token_hex(4)}:"
    limits = [RateLimit(url, prefix, per_minute=2) for url in (tls_url, redis_url)]
    assert [limit.take("a") for limit in limits] == [0, 0]
    assert limits[0].take("a") > 0, "the tokens are not shared: the rate limit counts in its process"
    for limit in limits:
        limit.close()
    with private_queue(tls_url, "bench") as name, Client(tls_url, queue=name) as client:
        client.submit(InlineBytes(CAT))
        assert client.depth().waiting == 1


@pytest.fixture
def strange_authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("option", ["", "?ssl_ca_certs={file}"])
def test_a_certificate_of_another_authority_is_refused_in_one_line(
    moderate, tls_port, strange_authority, option
):
    url = f"rediss://:hunter2@127.0.0.1:{tls_port}/0" + option.format(file=strange_authority.file)
    with Client(url) as client:
        for call in (client.ping, client.depth, lambda: client.submit(InlineBytes(CAT))):
            with pytest.raises(BrokerUnavailableError, match="certificate verify failed") as caught:
                call()
            assert "ssl_ca_certs" in caught.value.hint
            assert "hunter2" not in caught.value.message
    result = moderate("worker", broker_url=url)
    assert (result.exit_code, result.err.count("certificate verify failed")) == (3, 1)
    assert "Traceback" not in result.err


def test_a_certificate_of_another_host_is_refused_unless_the_check_is_switched_off(authority, redis_port):
    with authority.serving(redis_port, "redis.example") as port:
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={authority.file}"
        with Client(url) as client, pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1"):
            client.ping()
        for option in ("&ssl_check_hostname=false", "&ssl_cert_reqs=none"):
            with Client(url + option) as client:
                client.ping()
