"""Classifies IP addresses as public or special, by IANA's registries and what these lack."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

#: https://www.iana.org/assignments/iana-ipv4-special-registry, including the globally
#: reachable ones: no picture is served there. Python's `is_global` lacks some, depending on its version.
_IPV4: Final[Mapping[IPv4Network, str]] = {
    IPv4Network(network): kind
    for network, kind in {
        "0.0.0.0/8": "unspecified",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "shared by a provider's customers",
        "127.0.0.0/8": "loopback",
        "169.254.0.0/16": "link-local",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved for protocols",
        "192.0.2.0/24": "for documentation",
        "192.31.196.0/24": "reserved for AS112",
        "192.52.193.0/24": "reserved for AMT",
        "192.88.99.0/24": "a 6to4 relay",
        "192.168.0.0/16": "private",
        "192.175.48.0/24": "reserved for AS112",
        "198.18.0.0/15": "for benchmarks",
        "198.51.100.0/24": "for documentation",
        "203.0.113.0/24": "for documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
        # Not in the registry: inside Azure the platform answers there.
        "168.63.129.16/32": "a cloud's internal service",
    }.items()
}
#: All of IPv6 that is allocated to the public so far; everything else is special or unallocated.
_IPV6_PUBLIC: Final = IPv6Network("2000::/3")
_IPV6: Final[Mapping[IPv6Network, str]] = {
    IPv6Network(network): kind
    for network, kind in {
        "2001::/23": "reserved for protocols",  # Teredo among them
        "2001:db8::/32": "for documentation",
        "2002::/16": "a 6to4 tunnel's",
        "2620:4f:8000::/48": "reserved for AS112",
        "3fff::/20": "for documentation",
    }.items()
}
#: IPv6 forms of IPv4 addresses: mapped, and translated by a NAT64 gateway.
_IPV4_WITHIN: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))

#: Networks whose addresses an operator can allow by name.
_INTERNAL: Final = tuple(
    map(
        ip_network,
        (
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            # Overlay networks and clusters use it.
            "100.64.0.0/10",
            "::1/128",
            "fc00::/7",
        ),
    )
)
#: Metadata services of clouds within the networks above; they hand out credentials.
_CLOUDS: Final = tuple(
    map(
        ip_network,
        (
            "100.100.100.200/32",  # Alibaba
            "fd00:ec2::/32",  # Amazon
            "fd20:ce::254/128",  # Google
            "fd00:42::42/128",  # Scaleway
            "fd00:100::100:200/128",  # Alibaba
            "fd00:a9fe:a9fe::/48",  # Akamai
            "fd00:c1::a9fe:a9fe/128",  # Oracle
        ),
    )
)


def what_is_special(address: Address) -> str:
    """Return in a few words why an address is not public; "" if it is public."""
    if isinstance(address, IPv4Address):
        return _kind_of_ipv4(address)
    if address.scope_id is not None:
        return "link-local"
    if any(address in network for network in _IPV4_WITHIN):
        return _kind_of_ipv4(IPv4Address(int(address) & 0xFFFFFFFF))
    return _kind_of_ipv6(address)


def may_be_named(address: Address) -> bool:
    """Whether an operator can allow this address by naming a host and a port that lead to it.

    True for public addresses, loopback and private networks; false for link-local addresses, the metadata
    services of clouds, and forms that lead through a tunnel.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        address = address.ipv4_mapped or address
    if any(address in network for network in _CLOUDS if network.version == address.version):
        return False
    is_internal = any(address in network for network in _INTERNAL if network.version == address.version)
    return is_internal or not what_is_special(address)


def _kind_of_ipv4(address: IPv4Address) -> str:
    kind = next((kind for network, kind in _IPV4.items() if address in network), "")
    # A later Python may know ranges that were reserved after this was written.
    return kind or ("" if address.is_global else "reserved")


def _kind_of_ipv6(address: IPv6Address) -> str:
    kind = next((kind for network, kind in _IPV6.items() if address in network), "")
    if kind:
        return kind
    if address.is_loopback:
        return "loopback"
    if address.is_multicast:
        return "multicast"
    if address.is_link_local:
        return "link-local"
    return "" if address in _IPV6_PUBLIC and address.is_global else "reserved or private"
