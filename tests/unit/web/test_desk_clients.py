"""Whose word about an address counts: our own proxies', and only what they added."""

import pytest
from starlette.requests import Request

from worker.errors import SettingsError
from worker.web.desk.request.clients import RequestOrigin, TrustedProxies, origin_of

PROXIES = TrustedProxies.parse("10.0.0.0/24, 2001:db8::1")


def request(peer, host="desk.example", scheme="http", **headers):
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": scheme,
            "path": "/",
            "query_string": b"",
            "server": (host, 80),
            "client": (peer, 1),
            "headers": [(b"host", host.encode()), *named],
        }
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.1", "", "198.51.100.1"),
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("10.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.7", "192.0.2.66, 203.0.113.9, 10.0.0.8", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::2", "2001:db8::2"),
        ("10.0.0.7", "", "10.0.0.7"),
        ("10.0.0.7", "203.0.113.9:51442", "203.0.113.9"),
        ("10.0.0.7", "192.0.2.66, 203.0.113.9:443, 10.0.0.8:80", "203.0.113.9"),
        ("10.0.0.7", "[2001:db8:5::7]:443", "2001:db8:5::7"),
        ("10.0.0.7", "[2001:db8:5::7]", "2001:db8:5::7"),
        ("10.0.0.7", "::ffff:203.0.113.9", "203.0.113.9"),
        ("10.0.0.7", "[::ffff:203.0.113.9]:80, ::ffff:10.0.0.8", "203.0.113.9"),
        ("::ffff:10.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.7", "192.0.2.66, unknown", "10.0.0.7"),
        ("10.0.0.7", "192.0.2.66, _hidden, 10.0.0.8", "10.0.0.8"),
        ("10.0.0.7", "10.0.0.9, 10.0.0.8", "10.0.0.9"),
    ],
)
def test_the_address_is_the_nearest_that_no_proxy_of_ours_has(peer, forwarded, address):
    assert origin_of(request(peer, x_forwarded_for=forwarded), PROXIES).address == address


@pytest.mark.parametrize(
    ("peer", "host", "scheme", "proto", "private", "https"),
    [
        ("127.0.0.1", "127.0.0.1", "http", "", True, False),
        ("127.0.0.1", "localhost", "http", "", True, False),
        ("::1", "[::1]", "http", "", True, False),
        ("198.51.100.1", "127.0.0.1", "http", "", False, False),
        ("127.0.0.1", "desk.example", "http", "", False, False),
        ("198.51.100.1", "desk.example", "http", "https", False, False),
        ("10.0.0.7", "desk.example", "http", "https", True, True),
        ("10.0.0.7", "desk.example", "http", "https, http", False, False),
        ("198.51.100.1", "desk.example", "https", "", True, True),
    ],
)
def test_private_is_tls_or_no_network_at_all(peer, host, scheme, proto, private, https):  # noqa: PLR0913, PLR0917
    found = origin_of(request(peer, host, scheme, x_forwarded_proto=proto), PROXIES)
    assert (found.is_private, found.is_https) == (private, https)


@pytest.mark.parametrize(
    ("address", "rate_limit_key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:5:6:7:8:9:a", "2001:db8:5:6::/64"),
        ("2001:db8:5:6::1", "2001:db8:5:6::/64"),
        ("testclient", "testclient"),
    ],
)
def test_what_shares_one_limit(address, rate_limit_key):
    assert (
        RequestOrigin(address, by_proxy=False, is_private=False, is_https=True).rate_limit_key
        == rate_limit_key
    )


def test_who_comes_through_an_unnamed_proxy_on_this_machine_is_not_on_it():
    here = {"peer": "127.0.0.1", "host": "127.0.0.1"}
    assert origin_of(request(**here), PROXIES).is_private
    assert not origin_of(request(**here, x_forwarded_for="203.0.113.9"), PROXIES).is_private


def test_an_unnamed_proxy_is_named_in_the_log_once(caplog):
    for _ in range(3):
        origin_of(request("198.51.100.77", x_forwarded_for="203.0.113.9"), PROXIES)
    (line,) = caplog.messages
    assert "X-Forwarded-For from 198.51.100.77 is ignored" in line
    assert "MODERATION_TRUSTED_PROXIES" in line


def test_a_proxy_without_an_address_is_named():
    with pytest.raises(SettingsError, match="MODERATION_TRUSTED_PROXIES: 'proxy' does not appear"):
        TrustedProxies.parse("10.0.0.1, proxy")
