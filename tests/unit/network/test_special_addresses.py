"""Which addresses are public: the registries' ranges are written down here a second time, on purpose."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.network.special_addresses import may_be_named, what_is_special

#: https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast, which has a registry of its own.
IPV4_REGISTRY = """
0.0.0.0/8 0.0.0.0/32 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29
192.0.0.8/32 192.0.0.9/32 192.0.0.10/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24 192.31.196.0/24
192.52.193.0/24 192.88.99.0/24 192.88.99.2/32 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24
203.0.113.0/24 240.0.0.0/4 255.255.255.255/32 224.0.0.0/4
""".split()
#: https://www.iana.org/assignments/iana-ipv6-special-registry without the two that spell IPv4; what is not
#: 2000::/3; and what was special before there was a registry.
IPV6_REGISTRY = """
::/128 ::1/128 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:1::2/128
2001:1::3/128 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32
2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fe80::/10 ff00::/8 fec0::/10 ::/96 ::ffff:0:0:0/96
4000::/2 8000::/1
""".split()
#: What clouds answer with their machines' credentials.
METADATA = """
169.254.169.254 169.254.170.2 169.254.169.253 fd00:ec2::254 fd20:ce::254 100.100.100.200 192.0.0.192 168.63.129.16
fd00:42::42 fd00:100::100:200 fd00:a9fe:a9fe::1 fd00:c1::a9fe:a9fe
""".split()
#: Somebody's real servers.
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.9.9
198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1111 2a00:1450:4001::200e 2001:200::1 2003::1 2400:cb00::1
""".split()


def within(networks, kind):
    """Return addresses anywhere within the networks, their first and last among them."""

    def of(network):
        first, last = int(network[0]), int(network[-1])
        return st.sampled_from([first, last]) | st.integers(first, last)

    return st.sampled_from([ip_network(network) for network in networks]).flatmap(of).map(kind)


def mapped(address):
    return IPv6Address(0xFFFF << 32 | int(address))


def through_nat64(address):
    return IPv6Address(int(IPv6Address("64:ff9b::")) | int(address))


@given(within(IPV4_REGISTRY, IPv4Address))
def test_no_special_ipv4_address_is_public_however_it_is_spelt(address):
    assert what_is_special(address)
    assert what_is_special(mapped(address))
    assert what_is_special(through_nat64(address))


@given(within(IPV6_REGISTRY, IPv6Address))
def test_no_special_ipv6_address_is_public(address):
    assert what_is_special(address)


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_nothing_is_public_that_python_knows_not_to_be(address):
    known = address.is_private or address.is_multicast or address.is_reserved or address.is_loopback
    unspelt = getattr(address, "ipv4_mapped", None) or address
    if (known and unspelt is address) or not unspelt.is_global:
        assert what_is_special(address)


@given(st.sampled_from(PUBLIC).map(ip_address))
def test_public_addresses_are_public(address):
    assert what_is_special(address) == ""
    if isinstance(address, IPv4Address):
        assert what_is_special(mapped(address)) == what_is_special(through_nat64(address)) == ""


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_a_tunnel_never_leads_anywhere(inner):
    six_to_four = IPv6Address(0x2002 << 112 | int(inner) << 80)
    teredo = IPv6Address(0x20010000 << 96 | (int(inner) ^ 0xFFFFFFFF))
    assert what_is_special(six_to_four)
    assert what_is_special(teredo)


@pytest.mark.parametrize("address", METADATA)
def test_no_clouds_metadata_is_public(address):
    assert what_is_special(ip_address(address))


def test_an_address_that_holds_on_one_wire_only_is_not_public():
    assert what_is_special(ip_address("2606:4700::1111%eth0"))


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("10.1.2.3", "private"),
        ("169.254.169.254", "link-local"),
        ("ff02::1", "multicast"),
    ],
)
def test_the_kind_is_named(address, kind):
    assert what_is_special(ip_address(address)) == kind


#: What an operator can open by naming it; whatever else is special stays closed.
INTERNAL = "127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 ::1/128 fc00::/7".split()


@given(
    within(IPV4_REGISTRY, IPv4Address)
    | within(IPV6_REGISTRY, IPv6Address)
    | within(IPV4_REGISTRY, IPv4Address).map(mapped)
    | within(IPV4_REGISTRY, IPv4Address).map(through_nat64)
)
def test_a_special_address_can_be_named_only_if_it_is_internal(address):
    plain = getattr(address, "ipv4_mapped", None) or address
    is_internal = any(plain in ip_network(network) for network in INTERNAL)
    assert is_internal or not may_be_named(address)


@pytest.mark.parametrize("address", [*METADATA, "fd00:ec2::23", "fe80::1", "fe80::a9fe:a9fe"])
def test_no_clouds_metadata_can_be_named(address):
    assert not may_be_named(ip_address(address))
    if "." in address:
        assert not may_be_named(mapped(IPv4Address(address)))
        assert not may_be_named(through_nat64(IPv4Address(address)))
        assert not may_be_named(IPv6Address(0x2002 << 112 | int(IPv4Address(address)) << 80))


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "100.64.0.1", "::1", "fd12::1", "8.8.8.8"]
)
def test_internal_and_public_addresses_can_be_named(address):
    assert may_be_named(ip_address(address))
