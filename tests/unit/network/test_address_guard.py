"""Where a stranger's URL may lead, with a resolver of the test's own."""

import pytest

from worker.domain.url import Url
from worker.errors import AddressNotAllowedError, RemoteUnavailableError, SettingsError
from worker.network.address_guard import AddressGuard, AllowedHosts
from worker.network.deadline import Deadline

ANY = AllowedHosts(any_public=True)


def admit(url, *answers, hosts=ANY):
    """Return the addresses that the guard lets a URL have, and how often it asked."""
    asked = []

    def resolve(host, port):
        asked.append((host, port))
        return answers[len(asked) - 1]

    found = AddressGuard(hosts, resolve).admit(Url.parse(url), Deadline(60))
    return [str(address) for address in found], asked


def refusal(url, *answers, hosts=ANY):
    with pytest.raises(AddressNotAllowedError) as refused:
        admit(url, *answers, hosts=hosts)
    return refused.value.message


def test_a_name_is_resolved_once_and_its_addresses_returned():
    addresses = ["8.8.8.8", "2606:4700::1111", "8.8.8.8"]
    assert admit("https://a.b/x?y", addresses) == (addresses[:2], [("a.b", 443)])


def test_an_address_is_not_asked_for():
    assert admit("http://8.8.8.8/") == (["8.8.8.8"], [])
    assert admit("http://[2606:4700::1111]/") == (["2606:4700::1111"], [])


def test_one_address_that_is_not_public_spoils_the_name():
    words = refusal("https://a.b/", ["8.8.8.8", "10.0.0.7"])
    assert words == "a.b has the address 10.0.0.7, which is private"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[::127.0.0.1]/",
        "http://0.0.0.0/",
        "http://[::]/",
    ],
)
def test_an_address_that_is_not_public_is_refused(url):
    assert "has the address" in refusal(url)


@pytest.mark.parametrize(
    "answer", ["::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1%eth0", "fd00::1", "100.64.0.1"]
)
def test_an_answer_that_is_not_public_is_refused_in_every_spelling(answer):
    assert "has the address" in refusal("https://a.b/", [answer])


@pytest.mark.parametrize("port", [22, 25, 81, 6379, 8080, 65535])
def test_other_ports_are_refused(port):
    assert f"port {port} of a.b" in refusal(f"https://a.b:{port}/", ["8.8.8.8"])


def test_a_name_without_an_address_may_have_one_later():
    with pytest.raises(RemoteUnavailableError, match=r"the name a\.b has no address"):
        admit("https://a.b/", [])


def test_a_resolver_that_fails_says_so():
    def fail(_host, _port):
        raise OSError(-2, "Name or service not known")

    with pytest.raises(RemoteUnavailableError, match="no address: name or service not known"):
        AddressGuard(ANY, fail).admit(Url.parse("https://a.b/"), Deadline(60))


@pytest.mark.parametrize("text", ["none", "", " None "])
def test_by_default_nobody_is_talked_to(text):
    words = refusal("https://a.b/", ["8.8.8.8"], hosts=AllowedHosts.parse(text))
    assert words == "the host a.b is not one that is talked to from here"


@pytest.mark.parametrize("host", ["cdn.example.com", "a.example.org", "a.b.example.org", "CDN.example.com."])
def test_named_hosts_are_talked_to(host):
    hosts = AllowedHosts.parse("cdn.example.com, *.example.org")
    assert admit(f"https://{host}/", ["8.8.8.8"], hosts=hosts)[0] == ["8.8.8.8"]


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "a.cdn.example.com",
        "example.org",
        "badexample.org",
        "cdn.example.com.evil.net",
        "8.8.8.8",
    ],
)
def test_others_are_not(host):
    hosts = AllowedHosts.parse("cdn.example.com, *.example.org")
    assert "is not one that is talked to" in refusal(f"https://{host}/", ["8.8.8.8"], hosts=hosts)


def test_a_named_host_has_to_be_public_too():
    hosts = AllowedHosts.parse("cdn.example.com")
    assert "which is private" in refusal("https://cdn.example.com/", ["192.168.0.1"], hosts=hosts)


@pytest.mark.parametrize(
    "text", ["*", "*.com", "https://a.b", "a.b/c", "any-public, a.b", "a.*.b", "none, a.b", "localhost"]
)
def test_a_setting_that_names_no_host_is_refused(text):
    with pytest.raises(SettingsError, match="is not a host's name") as refused:
        AllowedHosts.parse(text)
    assert "any-public" in refused.value.hint
