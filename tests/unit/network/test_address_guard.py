"""Where a stranger's URL may lead, with a resolver of the test's own."""

import pytest
from moderation_client.url import Url

from worker.concurrency.deadline import Deadline
from worker.errors import AddressNotAllowedError, RemoteUnavailableError, SettingsError
from worker.network.address_guard import AddressGuard, AllowedHosts

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
    assert words == "the host a.b is not allowed here"


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
    assert "is not allowed here" in refusal(f"https://{host}/", ["8.8.8.8"], hosts=hosts)


def test_a_named_host_has_to_be_public_too():
    hosts = AllowedHosts.parse("cdn.example.com")
    assert "which is private" in refusal("https://cdn.example.com/", ["192.168.0.1"], hosts=hosts)


@pytest.mark.parametrize(
    "text",
    [
        *("*", "*.com", "https://a.b", "a.b/c", "any-public, a.b", "a.*.b", "none, a.b", "localhost"),
        *("none, a.b:80", "*.a.b:80", "a.b:0", "a.b:080", "a.b:65536", "a.b:http", "a.b:", ":80", "::1:80"),
        *("u@a.b:80", "a.b:80/x", "2130706433:80", "0177.0.0.1:80", "0x7f.1:80", "127.1:80", "[::1]"),
        *("[fe80::1%eth0]:80", "[::1]:80:80", "[127.0.0.1]:80"),
    ],
)
def test_a_setting_that_names_no_host_is_refused(text):
    with pytest.raises(
        SettingsError, match=r"MODERATION_URL_HOSTS: '.*' is neither a host's name"
    ) as refused:
        AllowedHosts.parse(text)
    assert "any-public" in refused.value.hint
    assert "platform.internal:8080" in refused.value.hint


EXACT = AllowedHosts.parse(
    "cdn.example.com, platform.internal:8080, localhost:9000, 127.0.0.1:9000, [::1]:9000, tls.internal:443,"
    " 10.1.2.3:80, [FD00:0:0::7]:80"
)


@pytest.mark.parametrize(
    ("url", "answers"),
    [
        ("http://platform.internal:8080/moderated", ["10.0.0.7"]),
        ("http://PLATFORM.internal.:8080/", ["192.168.1.1", "fd12::7"]),
        ("http://localhost:9000/", ["::1", "127.0.0.1"]),
        ("https://tls.internal/", ["100.64.1.1"]),
        ("http://tls.internal:443/", ["172.16.0.1"]),
        ("https://platform.internal:8080/", ["8.8.8.8"]),
    ],
)
def test_a_host_named_with_its_port_may_be_internal(url, answers):
    assert admit(url, answers, hosts=EXACT)[0] == answers


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:9000/", "127.0.0.1"),
        ("http://[::1]:9000/", "::1"),
        ("http://[0:0:0:0:0:0:0:1]:9000/", "::1"),
        ("http://10.1.2.3/", "10.1.2.3"),
        ("http://[fd00::7]/", "fd00::7"),
    ],
)
def test_an_address_named_with_its_port_may_be_internal(url, address):
    assert admit(url, hosts=EXACT) == ([address], [])


@pytest.mark.parametrize(
    ("url", "answers", "words"),
    [
        ("http://platform.internal:8081/", ["10.0.0.7"], "the host platform.internal is not allowed"),
        ("http://a.platform.internal:8080/", ["10.0.0.7"], "is not allowed here"),
        ("http://platform.internal/", ["10.0.0.7"], "is not allowed here"),
        ("http://127.0.0.1:9001/", [], "is not allowed here"),
        ("http://[::ffff:127.0.0.1]:9000/", [], "is not allowed here"),
        ("http://127.0.0.2:9000/", [], "is not allowed here"),
        ("http://tls.internal/", ["10.0.0.7"], "is not allowed here"),
        ("https://cdn.example.com/", ["10.0.0.7"], "which is private"),
        ("https://cdn.example.com:8443/", ["8.8.8.8"], "port 8443 of cdn.example.com"),
    ],
)
def test_a_named_port_opens_nothing_else(url, answers, words):
    assert words in refusal(url, answers, hosts=EXACT)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "169.254.169.254",
            "169.254.170.2",
            "169.254.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
        ),
        *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::a9fe:a9fe", "fe80::1%eth0", "fe80::1"),
        *("::ffff:169.254.169.254", "::ffff:100.100.100.200", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1"),
        *(
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
            "::127.0.0.1",
        ),
        *(
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "240.0.0.1",
        ),
        "2001:0:a9fe:a9fe::1",
    ],
)
def test_no_name_opens_what_is_closed_for_good(address):
    hosts = AllowedHosts.parse("metadata.internal:80")
    with pytest.raises(AddressNotAllowedError, match="has the address") as refused:
        admit("http://metadata.internal/", [address], hosts=hosts)
    assert refused.value.hint == "no setting allows this address"
    with pytest.raises(AddressNotAllowedError, match="has the address"):
        admit("http://metadata.internal/", ["10.0.0.7", address], hosts=hosts)
    if "%" not in address:
        text = f"[{address}]:80" if ":" in address else f"{address}:80"
        assert "has the address" in refusal(f"http://{text}/", hosts=AllowedHosts.parse(text))


def test_named_hosts_stand_beside_all_public_ones():
    hosts = AllowedHosts.parse("any-public, localhost:9000")
    assert admit("https://a.b/", ["8.8.8.8"], hosts=hosts)[0] == ["8.8.8.8"]
    assert admit("http://localhost:9000/", ["127.0.0.1"], hosts=hosts)[0] == ["127.0.0.1"]
    assert "which is loopback" in refusal("http://localhost/", ["127.0.0.1"], hosts=hosts)


def test_a_refusal_says_what_to_name():
    guard = AddressGuard(AllowedHosts(), setting="MODERATION_WEBHOOK_HOSTS")
    with pytest.raises(AddressNotAllowedError) as refused:
        guard.check(Url.parse("http://[::1]:9000/"))
    assert refused.value.hint == (
        "MODERATION_WEBHOOK_HOSTS lists the allowed hosts; add [::1]:9000 to allow this one"
    )
