"""HTTP through the real guard to servers on this machine that are named exactly, and to rude ones."""

import ssl

import pytest
import trustme
from moderation_client.url import Url
from support.web import serving

from worker.concurrency.deadline import Deadline
from worker.errors import AddressNotAllowedError, RemoteUnavailableError, SourceNotAllowedError
from worker.images.limits import Limits
from worker.images.sources.download import Download
from worker.network.address_guard import AddressGuard, AllowedHosts
from worker.network.http import GuardedHttp

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000, max_side=100, max_frames=4)
HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def guarded(*hosts, tls=None):
    guard = AddressGuard(AllowedHosts.parse(",".join(hosts)))
    return GuardedHttp(guard, tls) if tls else GuardedHttp(guard)


def post(http, url, seconds=20.0):
    # Without a body, which these servers would leave unread: the system answers that with a reset.
    return http.post(Url.parse(url), {"Content-Length": "0"}, b"", Deadline(seconds))


def hides_its_end(visit):
    """Answer, and go without a word: a TLS connection has no proper end then."""
    visit.send(HEAD + "done.")


def breaks_off(visit):
    visit.send(HEAD + "do")


@pytest.mark.parametrize("respond", [hides_its_end, breaks_off])
def test_an_answer_counts_however_its_connection_ends(respond):
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    for tls, scheme in ((None, "http"), (server, "https")):
        with serving(respond, tls) as site:
            http = guarded(f"localhost:{site.port}", tls=client)
            assert post(http, f"{scheme}://localhost:{site.port}/").status == 200


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "HTTP/1.1 ",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 200 OK\r\nX: " + "x" * 300_000,
        "<html>hello</html>\r\n\r\n",
    ],
)
def test_what_is_no_answer_may_come_later(answer):
    with serving(lambda visit: visit.send(answer)) as site, pytest.raises(RemoteUnavailableError):
        post(guarded(f"127.0.0.1:{site.port}"), f"http://127.0.0.1:{site.port}/")


def test_a_redirect_of_a_picture_leads_to_named_hosts_only():
    with serving(lambda visit: visit.answer(200, b"a cat")) as other:
        elsewhere = f"http://127.0.0.1:{other.port}/cat.jpg"
        with serving(lambda visit: visit.answer(302, Location=elsewhere)) as site:
            url, named = f"http://localhost:{site.port}/cat.jpg", f"localhost:{site.port}"
            both = Download(guarded(named, f"127.0.0.1:{other.port}"), LIMITS, 20.0)
            assert both(url) == b"a cat"
            with pytest.raises(SourceNotAllowedError, match=r"the host 127\.0\.0\.1 is not allowed"):
                Download(guarded(named, f"127.0.0.1:{site.port}"), LIMITS, 20.0)(url)
        assert len(other.requests) == 1


@pytest.mark.parametrize("hosts", ["any-public", "127.0.0.1:1", "[::ffff:127.0.0.1]:{port}"])
def test_what_is_not_named_is_not_connected_to(hosts):
    with serving(lambda visit: visit.answer(200)) as site:
        with pytest.raises(AddressNotAllowedError):
            post(guarded(hosts.format(port=site.port)), f"http://127.0.0.1:{site.port}/")
        assert site.requests == []
