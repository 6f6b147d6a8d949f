"""Where webhooks may go: out into the internet, and not to this machine or the network around it unless the installation says so.

Whoever may make a webhook could otherwise let the service knock at doors that are open to it alone. A name says nothing: what it stands for is
asked at the moment of sending, every address of it is checked, and the connection goes to a checked address and to no other.
"""

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from forecasting.errors import InputError

LONGEST = 2000  # characters of an address
USUAL_PORTS = {"http": 80, "https": 443}
FIRST_FREE_PORT, LAST_PORT = 1024, 65535  # below the first are mail, names, shells; no receiver of webhooks
NEVER = (  # beyond what `ipaddress` of every Python calls private
    ip_network("168.63.129.16"),  # a cloud's own service behind an address that looks like everybody's
    ip_network("192.0.0.0/24"),  # of protocols, and another cloud's own service
    ip_network("2002::/16"),  # leads to an IPv4 address that stands in it
    ip_network("3fff::/20"),  # of documents
    ip_network("fec0::/10"),  # of a site
)

_NAME = re.compile(r"(?=.{1,253}$)[0-9a-z_-]{1,63}(\.[0-9a-z_-]{1,63})*\.?", re.ASCII)  # as it goes to a name server
_SPACE = re.compile(r"\s")
_MEND = "name a host that everybody can reach, or allow it with WEISU_WEBHOOK_ALLOW or WEISU_WEBHOOK_PRIVATE"


class Refused(Exception):
    """A receiver may not be sent to, or is not known; the text says why."""


@dataclass(frozen=True)
class Receivers:
    """Decides.

    Attributes:
        private: every address is allowed.
        hosts: names that are allowed whatever addresses they have.
        networks: addresses that are allowed.
    """

    private: bool = False
    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, private: bool, allow: Iterable[str]) -> "Receivers":
        """By the settings: names of hosts, addresses and networks (10.1.0.0/16) that are allowed although they are private."""
        hosts: set[str] = set()
        networks: list[IPv4Network | IPv6Network] = []
        for one in allow:
            try:
                networks.append(ip_network(one.strip()))
            except ValueError:
                hosts.add(one.strip().rstrip(".").lower())
        return cls(private, frozenset(hosts), tuple(networks))

    def check(self, url: str) -> httpx.URL:
        """What can be known of an address before its name is looked up.

        Raises:
            InputError: it is no address of a web server, names a user, or a port or an address that is not allowed.
        """
        try:
            parsed = httpx.URL(url)
            host, name = parsed.host, parsed.raw_host.decode()
        except (httpx.InvalidURL, ValueError):  # ValueError: a name that no name server could know
            raise _no_address() from None
        if len(url) > LONGEST or _SPACE.search(url) or parsed.scheme not in USUAL_PORTS or not (_NAME.fullmatch(name) or ":" in name):
            raise _no_address()
        if parsed.userinfo or parsed.fragment:
            raise InputError("a webhook's address has neither user nor fragment", "url", "the signature tells the receiver who sends")
        if (port := port_of(parsed)) not in USUAL_PORTS.values() and not FIRST_FREE_PORT <= port <= LAST_PORT:
            raise InputError(f"port {port} is not allowed", "url", f"use 80, 443, or one from {FIRST_FREE_PORT} on")
        try:
            known = [ip_address(host)]
        except ValueError:
            known = [IPv4Address("127.0.0.1")] if _plain(host).split(".")[-1] == "localhost" else []
        if not all(self._allowed(host, one) for one in known):
            raise InputError(f"'{host}' is no public address", "url", _MEND)
        return parsed

    def resolve(self, url: httpx.URL) -> list[str]:
        """The addresses to connect to, the best one first.

        Raises:
            Refused: the name is not known, or one of its addresses is not allowed.
        """
        try:
            found = socket.getaddrinfo(url.raw_host.decode(), port_of(url), type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Refused(f"the name is not known ({getattr(error, 'strerror', None) or error})") from None
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        for address in addresses:
            if not self._allowed(url.host, ip_address(address)):
                raise Refused(f"refused: {address} is no public address; {_MEND}")
        return addresses

    def _allowed(self, host: str, address: IPv4Address | IPv6Address) -> bool:
        meant = _meant(address)
        return self.private or _plain(host) in self.hosts or any(meant in network for network in self.networks) or is_public(meant)


def port_of(url: httpx.URL) -> int:
    """The port of a web address."""
    return USUAL_PORTS[url.scheme] if url.port is None else url.port


def _no_address() -> InputError:
    return InputError(f"this is no web address of at most {LONGEST} characters", "url", "write it like https://example.org/alerts")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to one machine somewhere in the internet."""
    meant = _meant(address)
    special = meant.is_multicast or meant.is_reserved or any(meant in network for network in NEVER)
    return meant.is_global and not special


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address writes in another way, or itself."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _plain(host: str) -> str:
    return host.rstrip(".").lower()
