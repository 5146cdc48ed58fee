"""WebRTC connections that use the addresses that the user asked for, and no others."""

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Final

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection

from pcavs.errors import InputError

_CANDIDATE: Final = re.compile(r"(a=candidate:\S+ \d+ \S+ \d+ )(\S+)( \d+ typ host.*)")


def addresses_of(host: str) -> list[str]:
    """Returns the addresses that a host name stands for.

    Raises:
        InputError: There is no such host.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InputError(f"{host} is no address of this machine ({error.strerror}); give another --host") from error
    return sorted({str(each[4][0]) for each in found})


def bind_only(addresses: Sequence[str]) -> None:
    """Makes streams of this process use these addresses alone.

    By itself, aioice uses every address of the machine except loopback. An address such as 0.0.0.0 leaves it at that.
    """
    if any(ipaddress.ip_address(each).is_unspecified for each in addresses):
        return

    def host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        wanted = {4: use_ipv4, 6: use_ipv6}
        return [each for each in addresses if wanted[ipaddress.ip_address(each).version]]

    aioice.ice.get_host_addresses = host_addresses


def new_peer() -> RTCPeerConnection:
    """Returns a connection that asks no other host where it is."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def with_address(sdp: str, address: str) -> str:
    """Replaces host names of an offer's candidates by the address that the offer came from.

    Browsers hide their addresses behind names that are looked up by multicast, which would leave the addresses that
    the user asked for.
    """

    def replace(match: re.Match[str]) -> str:
        before, name, after = match.groups()
        return f"{before}{address if name.endswith('.local') else name}{after}"

    return _CANDIDATE.sub(replace, sdp)


def candidate_addresses(sdp: str) -> set[str]:
    """Returns the addresses of a description's candidates."""
    return {match.group(2) for match in _CANDIDATE.finditer(sdp)}
