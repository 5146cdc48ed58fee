"""Requests to other hosts: only to those that the operator allows, never to private addresses, without redirects."""

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from pcavs.errors import InputError

_TIMEOUT_S: Final = 15.0
_BLOCK_BYTES: Final = 1 << 16
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that stand for IPv4 addresses behind a translator."""


class Outside:
    """The other hosts that may be asked."""

    def __init__(self, hosts: Iterable[str], *, private: bool = False) -> None:
        """Stores the allowed hosts.

        Args:
            hosts: Their names.
            private: Allows private addresses and plain http; for tests, no setting of the service reaches it.
        """
        self._hosts = {host.lower().rstrip(".") for host in hosts}
        self._private = private

    def check(self, url: str) -> SplitResult:
        """Checks an address without asking its host.

        Raises:
            InputError: It is no address of an allowed host.
        """
        try:
            parts = urlsplit(url)
            host, _ = (parts.hostname or "").rstrip("."), parts.port
        except ValueError as error:
            raise InputError(f"{url[:60]!r} is no web address; check it") from error
        if parts.scheme != "https" and not (self._private and parts.scheme == "http"):
            raise InputError("an address of another host must begin with https://")
        if parts.username is not None or parts.password is not None:
            raise InputError("an address must have no user or password in it")
        if host not in self._hosts:
            raise InputError(f"the host {host[:60]!r} is not allowed here; the operator of the service can allow it")
        if any(ord(character) < 33 or ord(character) == 127 for character in url):
            raise InputError(f"{url[:60]!r} is no web address; check it")
        return parts

    def request(self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        """Sends a request and returns the response of `http.client`, which the caller reads and closes.

        The address that was checked is the one that is connected to, so that a name cannot change its address in
        between.

        Raises:
            InputError: The host is not allowed, has a private address, or cannot be reached.
        """
        parts = self.check(url)
        is_tls = parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        host = parts.hostname or ""
        address = self._address(host, port)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = _Pinned(host, port, address, is_tls)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise InputError(f"the host {host[:60]!r} cannot be reached; try again later") from error

    def _address(self, host: str, port: int) -> str:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise InputError(f"the host {host[:60]!r} is not known; check its name") from error
        addresses = [str(each[4][0]) for each in found]
        if not addresses or not all(self._private or is_public(each) for each in addresses):
            raise InputError(f"the host {host[:60]!r} has a private address; only public ones are asked")
        return addresses[0]


def is_public(text: str) -> bool:
    """Tells whether an IP address is one of the public internet, also in the IPv6 forms of IPv4 addresses."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, which speaks to the host by its name."""

    def __init__(self, host: str, port: int, address: str, is_tls: bool) -> None:
        super().__init__(host, port, timeout=_TIMEOUT_S)
        self._address, self._is_tls = address, is_tls

    def connect(self) -> None:
        """Connects to the address; a certificate must be the host's."""
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._is_tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def read_limited(response: Any, max_bytes: int, max_s: float = _TIMEOUT_S) -> Iterator[bytes]:
    """Yields the body of a response.

    Raises:
        InputError: It is longer than allowed, takes longer, or ends early.
    """
    size, end_s = 0, time.monotonic() + max_s
    while True:
        if time.monotonic() > end_s:
            raise InputError("the other host sends too slowly; send the file yourself")
        try:
            block = response.read(_BLOCK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise InputError("the other host ended the transfer; try again later") from error
        if not block:
            return
        size += len(block)
        if size > max_bytes:
            raise InputError(f"the file of the other host is larger than {max_bytes / 1e6:g} MB")
        yield block
