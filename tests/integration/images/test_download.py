"""Pictures by URL from real servers on loopback that lie, drip, flood and lead astray.

Names resolve to what a test says, and 127.0.0.1 counts as public; nothing else about the guard is different.
"""

import errno
import gzip
import itertools
import logging
import os
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from support.web import Visit, serving

from worker.errors import (
    ModerationError,
    RemoteUnavailableError,
    ResourceUnavailableError,
    SourceError,
    SourceMissingError,
    SourceNotAllowedError,
    SourceUnavailableError,
    UndecodablePictureError,
)
from worker.images.limits import Limits
from worker.images.sources.download import MAX_REDIRECTS, Download
from worker.network.address_guard import AddressGuard, AllowedHosts
from worker.network.http import GuardedHttp
from worker.network.special_addresses import what_is_special

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000, max_side=100, max_frames=4)
HOST = "cdn.example.com"
SECRET = "5ec7e7"


def open_at_home(address):
    """Return what is special about an address, were this machine on the net."""
    return "" if str(address) in {"127.0.0.1", "127.0.0.2"} else what_is_special(address)


class Names:
    """A resolver: each name has its answers one after the other, the last one for ever."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.asked: list[str] = []
        self._answers = {name.replace("_", "."): list(given) for name, given in answers.items()}

    def __call__(self, host, _port):
        self.asked.append(host)
        given = self._answers.get(host, [["127.0.0.1"]])
        return given.pop(0) if len(given) > 1 else given[0]


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def server_context(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def download(site, *, scheme="http", names=None, hosts="any-public", tls=None, seconds=20.0):  # noqa: PLR0913 - knobs
    """Fetch a signed URL from `site`; no error may show the signature."""
    guard = AddressGuard(
        AllowedHosts.parse(hosts),
        names or Names(),
        what_is_special=open_at_home,
        ports=frozenset({site.port}),
    )
    fetch = Download(GuardedHttp(guard, tls or ssl.create_default_context()), LIMITS, seconds)
    try:
        return fetch(f"{scheme}://{HOST}:{site.port}/cat.jpg?signature={SECRET}")
    except ModerationError as error:
        shown = f"{error.message} {error.hint} {error!r} {error.__cause__!r}"
        if SECRET in shown:
            pytest.fail(f"shows the signature: {shown}")
        raise


def refused(kind, respond, **options):
    """Return the message of the error that a server's answer leads to, and the server."""
    with serving(respond) as site, pytest.raises(kind) as error:
        download(site, **options)
    assert type(error.value) is kind
    return error.value.message, site


def test_a_picture_arrives_and_the_request_tells_nothing_but_what_is_needed():
    with serving(lambda visit: visit.answer(200, b"a cat")) as site:
        assert download(site) == b"a cat"
    (request,) = site.requests
    line, *headers = request.strip().split("\r\n")
    assert line == f"GET /cat.jpg?signature={SECRET} HTTP/1.1"
    assert (
        dict(header.split(": ", 1) for header in headers).items()
        >= {
            "Host": f"{HOST}:{site.port}",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }.items()
    )
    assert {header.split(":")[0] for header in headers} == {
        "Host",
        "User-Agent",
        "Accept",
        "Accept-Encoding",
        "Connection",
    }


def test_a_picture_without_a_length_arrives():
    def respond(visit):
        visit.send("HTTP/1.1 200 OK\r\n\r\n")
        visit.send(b"a cat")

    with serving(respond) as site:
        assert download(site) == b"a cat"


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving(lambda visit: visit.answer(200, b"a cat")) as site:
        assert download(site) == b"a cat"


def test_of_several_addresses_a_dead_one_does_not_matter():
    names = Names(cdn_example_com=[["127.0.0.2", "127.0.0.1"]])
    with serving(lambda visit: visit.answer(200, b"a cat")) as site:
        assert download(site, names=names) == b"a cat"


def test_a_host_that_is_not_named_is_not_asked_for():
    names = Names()
    message, site = refused(
        SourceNotAllowedError, lambda visit: visit.answer(200), hosts="*.example.org", names=names
    )
    assert message == "the host cdn.example.com is not allowed here"
    assert (site.requests, names.asked) == ([], [])


# Certificates


def test_over_tls_the_hosts_name_is_asked_for_and_verified(authority, trusting):
    context, asked = server_context(authority, HOST), []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with serving(lambda visit: visit.answer(200, b"a cat"), context) as site:
        assert download(site, scheme="https", tls=trusting) == b"a cat"
    assert asked == [HOST]


def test_a_certificate_for_another_host_is_refused(authority, trusting):
    with (
        serving(
            lambda visit: visit.answer(200, b"a cat"), server_context(authority, "evil.example.net")
        ) as site,
        pytest.raises(SourceNotAllowedError, match="no valid certificate: Hostname mismatch"),
    ):
        download(site, scheme="https", tls=trusting)
    assert site.requests == []


def test_a_certificate_of_nobody_we_know_is_refused(authority):
    with (
        serving(lambda visit: visit.answer(200, b"a cat"), server_context(authority, HOST)) as site,
        pytest.raises(SourceNotAllowedError, match="no valid certificate"),
    ):
        download(site, scheme="https")
    assert site.requests == []


# This machine's own failures


def fails_by_itself(error, *, names=None, tls=None, scheme="http"):
    """Return the message of an error that is about this machine, and not about the server of a picture."""
    with serving(lambda visit: visit.answer(200, b"a cat")) as site:
        with pytest.raises(SourceUnavailableError) as failure:
            download(site, names=names or raising(error), tls=tls, scheme=scheme)
        assert site.requests == []
    assert failure.value.resource == "the way to URLs"
    return failure.value.message


def raising(error):
    def resolve(*_):
        raise error

    return resolve


NO_ANSWER = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def test_a_resolver_that_does_not_answer_is_this_machine_s():
    assert "resolver does not answer" in fails_by_itself(NO_ANSWER)


def test_a_name_that_does_not_exist_is_the_server_s():
    no_name = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    refused(RemoteUnavailableError, lambda visit: visit.answer(200), names=raising(no_name))


def test_a_resolver_that_answers_for_another_host_makes_it_the_server_s():
    broken = {"now": False}

    def resolve(host, _port):
        if host == "broken.example.com" or broken["now"]:
            raise NO_ANSWER
        return ["127.0.0.1"]

    with serving(lambda visit: visit.answer(200, b"a cat")) as site:
        guard = AddressGuard(
            AllowedHosts.parse("any-public"),
            resolve,
            what_is_special=open_at_home,
            ports=frozenset({site.port}),
        )
        fetch = Download(GuardedHttp(guard), LIMITS, 20.0)
        other = f"http://broken.example.com:{site.port}/cat.jpg"
        assert fetch(f"http://{HOST}:{site.port}/cat.jpg") == b"a cat"
        with pytest.raises(RemoteUnavailableError):
            fetch(other)
        broken["now"] = True
        with pytest.raises(SourceUnavailableError):
            fetch(other)


@pytest.mark.parametrize("name", ["ENETUNREACH", "EMFILE", "ENOBUFS", "EADDRNOTAVAIL", "EACCES"])
def test_a_connection_that_never_left_this_machine_is_its_own(monkeypatch, name):
    def fail(*_, **__):
        number = getattr(errno, name)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(socket, "create_connection", fail)
        assert "this machine cannot connect" in fails_by_itself(None, names=Names())


def test_a_machine_that_trusts_nobody_has_no_quarrel_with_the_server(authority, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    context = server_context(authority, HOST)
    with (
        serving(lambda visit: visit.answer(200, b"a cat"), context) as site,
        pytest.raises(SourceUnavailableError, match="trusts no certificate authority"),
    ):
        download(site, scheme="https", tls=ssl.create_default_context())


def test_a_certificate_from_the_future_says_that_the_clock_is_behind(authority, trusting):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    authority.issue_cert(HOST, not_before=tomorrow).configure_cert(context)
    with (
        serving(lambda visit: visit.answer(200, b"a cat"), context) as site,
        pytest.raises(SourceUnavailableError, match="clock is behind"),
    ):
        download(site, scheme="https", tls=trusting)


def test_no_thread_to_be_started_is_no_fault_of_the_server(monkeypatch):
    def fail(_self):
        raise RuntimeError("can't start new thread")

    with serving(lambda visit: visit.answer(200)) as site, monkeypatch.context() as patch:
        patch.setattr("worker.concurrency.deadline.Thread.start", fail)
        with pytest.raises(ResourceUnavailableError, match="no thread can be started"):
            download(site)


# Time


def drip(visit: Visit, data: bytes = b"x") -> None:
    """Send a byte at a time, for ever, each long before anybody would call the connection dead."""
    pause = threading.Event()
    for byte in itertools.cycle(data):
        visit.send(bytes([byte]))
        pause.wait(0.05)


def drip_a_body(visit: Visit) -> None:
    visit.answer(200, Content_Length="900000")
    drip(visit)


def drip_chunks(visit: Visit) -> None:
    visit.answer(200, Content_Length="", Transfer_Encoding="chunked")
    drip(visit, b"1\r\nx\r\n")


def drip_headers(visit: Visit) -> None:
    visit.send("HTTP/1.1 200 OK\r\n")
    drip(visit, b"X: y\r\n")


def preliminaries(visit: Visit) -> None:
    while True:
        visit.send("HTTP/1.1 103 Early Hints\r\n\r\n")


@pytest.mark.parametrize(
    "respond",
    [drip_headers, drip_a_body, drip_chunks, preliminaries, Visit.wait_until_left],
    ids=lambda f: f.__name__,
)
def test_a_server_that_never_gets_done_is_left(respond):
    message, site = refused(RemoteUnavailableError, respond, seconds=0.5)
    assert message == "cdn.example.com did not answer within 0.5 s"
    assert site.left.acquire(timeout=30)
    assert len(site.requests) == 1


@pytest.mark.parametrize("hello", [lambda visit: visit.wait_until_left(), drip], ids=["silent", "dripping"])
def test_a_handshake_that_never_gets_done_is_left(hello, trusting):
    with serving(hello, read_request=False) as site, pytest.raises(RemoteUnavailableError):
        download(site, scheme="https", tls=trusting, seconds=0.5)
    assert site.left.acquire(timeout=30)


def test_a_resolver_that_hangs_is_left():
    hanging = threading.Event()
    message, _ = refused(
        RemoteUnavailableError, lambda visit: visit.answer(200), names=lambda *_: hanging.wait(), seconds=0.2
    )
    assert message == "cdn.example.com did not answer within 0.2 s"
    hanging.set()


# Size


def test_a_declared_100_mb_is_refused_unread():
    def respond(visit):
        visit.answer(200, Content_Length="104857600")
        visit.wait_until_left()

    message, site = refused(UndecodablePictureError, respond)
    assert message == "the picture has 104,857,600 bytes; at most 1,000,000 are judged"
    assert site.sent < 1_000


def flood(visit: Visit) -> None:
    visit.send("HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(100):
        visit.send(bytes(1 << 20))


def endless_chunks(visit: Visit) -> None:
    visit.answer(200, Content_Length="", Transfer_Encoding="chunked")
    while True:
        visit.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")


@pytest.mark.parametrize("respond", [flood, endless_chunks], ids=lambda f: f.__name__)
def test_what_never_ends_is_cut_off_at_the_limit(respond):
    message, site = refused(UndecodablePictureError, respond)
    assert "at most 1,000,000 are judged" in message
    assert site.sent < 50_000_000  # the limit, and what the network's buffers took


def test_a_gzip_bomb_is_not_inflated():
    bomb = gzip.compress(bytes(50_000_000))
    message, _ = refused(SourceError, lambda visit: visit.answer(200, bomb, Content_Encoding="gzip"))
    assert message.endswith("/cat.jpg compressed, although it was asked not to")
    with serving(lambda visit: visit.answer(200, bomb)) as site:
        assert download(site) == bomb  # an odd kind of file, and none of our business here


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, identity", "x"])
def test_no_compression_is_taken(encoding):
    refused(SourceError, lambda visit: visit.answer(200, b"x", Content_Encoding=encoding))


def test_endless_headers_are_cut_off():
    def respond(visit):
        visit.send("HTTP/1.1 200 OK\r\nX: ")
        while True:
            visit.send(b"y" * 10_000)

    message, site = refused(RemoteUnavailableError, respond)
    assert message == "cdn.example.com does not answer in proper HTTP"
    assert site.sent < 50_000_000


# Redirects


def redirecting(*locations):
    """Answer the first requests with redirects to these places, and then with a picture."""
    left = list(locations)

    def respond(visit):
        if left:
            visit.answer(302, Location=left.pop(0).format(port=visit.site.port))
        else:
            visit.answer(200, b"a cat")

    return respond


def test_redirects_are_followed_and_each_host_is_asked_for_again():
    names = Names()
    locations = ["/b.jpg?x", "http://img.example.org:{port}/c.jpg#top", "d/e.jpg"]
    with serving(redirecting(*locations)) as site:
        assert download(site, names=names) == b"a cat"
    assert site.paths == [f"/cat.jpg?signature={SECRET}", "/b.jpg?x", "/c.jpg", "/d/e.jpg"]
    assert names.asked == [HOST, HOST, "img.example.org", "img.example.org"]


def test_too_many_redirects_are_not_followed():
    message, site = refused(SourceError, lambda visit: visit.answer(301, Location=f"{visit.path}x"))
    assert message == "cdn.example.com redirects more than 3 times"
    assert len(site.requests) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (
            "http://169.254.169.254:{port}/latest/meta-data/",
            "has the address 169.254.169.254, which is link-local",
        ),
        ("http://[::ffff:169.254.169.254]:{port}/", "which is link-local"),
        ("http://[::1]:{port}/", "which is loopback"),
        ("//10.0.0.1:{port}/", "which is private"),
        ("http://2852039166:{port}/", "is not an address"),
        ("http://0251.0376.0251.0376:{port}/", "is not an address"),
        ("http://internal.example.com:{port}/", "has the address 10.0.0.8, which is private"),
        ("http://other.example.com:6379/", "port 6379 of other.example.com"),
        ("http://user:pass@other.example.com:{port}/", "cannot carry a user name"),
        ("file:///etc/passwd?5ec7e7", "begins with https:// or http://, 'file:///etc/passwd' does not"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "begins with https:// or http://"),
        ("http://other.example.com:{port}/ü", "percent-encode"),
    ],
)
def test_a_redirect_leads_no_further_than_a_submission_could(location, words):
    names = Names(internal_example_com=[["10.0.0.8"]])
    message, site = refused(SourceNotAllowedError, redirecting(location), names=names)
    assert words in message
    assert len(site.requests) == 1


def test_a_redirect_to_a_host_that_is_not_named_is_refused():
    respond = redirecting("http://evil.example.net:{port}/")
    message, _ = refused(SourceNotAllowedError, respond, hosts="*.example.com")
    assert "the host evil.example.net is not allowed" in message


def test_a_redirect_never_gives_up_encryption(authority, trusting):
    respond = redirecting(f"http://{HOST}:{{port}}/")
    with (
        serving(respond, server_context(authority, HOST)) as site,
        pytest.raises(SourceNotAllowedError, match="redirects from https to http"),
    ):
        download(site, scheme="https", tls=trusting)


def test_a_redirect_without_a_place_ends_like_any_other_circle():
    refused(SourceError, lambda visit: visit.answer(302))


# Names that change


def test_a_name_that_changes_its_address_after_the_check_changes_nothing():
    names = Names(cdn_example_com=[["127.0.0.1"], ["169.254.169.254"]])
    with serving(lambda visit: visit.answer(200, b"a cat")) as site:
        assert download(site, names=names) == b"a cat"
        assert names.asked == [HOST]
        with pytest.raises(SourceNotAllowedError, match=r"169\.254\.169\.254, which is link-local"):
            download(site, names=names)
    assert len(site.requests) == 1


def test_a_name_that_changes_its_address_between_redirects_is_caught():
    names = Names(cdn_example_com=[["127.0.0.1"], ["10.0.0.1"]])
    message, site = refused(SourceNotAllowedError, redirecting("/again"), names=names)
    assert "which is private" in message
    assert len(site.requests) == 1


# Answers


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, SourceMissingError),
        (410, SourceError),
        (401, SourceError),
        (403, SourceError),
        (400, SourceError),
        (204, SourceError),
        (206, SourceError),
        (304, SourceError),
        (408, RemoteUnavailableError),
        (425, RemoteUnavailableError),
        (429, RemoteUnavailableError),
        (500, RemoteUnavailableError),
        (503, RemoteUnavailableError),
    ],
)
def test_the_status_decides(status, kind):
    message, _ = refused(kind, lambda visit: visit.answer(status))
    assert f"answered {status}" in message


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"220 mail.example.com ESMTP\r\n",
        b"-ERR unknown command\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx",
        b"\x16\x03\x01\x00\x05",
    ],
)
def test_what_is_no_proper_http_is_tried_again_and_never_shown(answer):
    message, _ = refused(RemoteUnavailableError, lambda visit: visit.send(answer))
    assert message.startswith("cdn.example.com does not answer")


def test_a_server_that_is_not_there_is_tried_again():
    with serving(lambda visit: visit.answer(200)) as site:
        pass
    with pytest.raises(RemoteUnavailableError, match="does not answer: connection refused"):
        download(site)


def test_nothing_that_is_logged_shows_a_signature(caplog):
    caplog.set_level(logging.DEBUG)
    with serving(redirecting(f"/b.jpg?signature={SECRET}")) as site:
        download(site)
    assert len(site.requests) == 2
    assert SECRET not in caplog.text
