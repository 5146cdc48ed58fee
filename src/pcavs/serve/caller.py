"""Finds out who sends a request: bearer or basic tokens, and the limit of requests."""

import base64
import binascii
from typing import Annotated

from fastapi import Depends, Request

from pcavs.serve.people import Owner
from pcavs.serve.problems import Problem
from pcavs.serve.service import Service

_MAX_TOKEN = 200
_CHALLENGE = 'Bearer realm="pcavs"'


async def service_of(request: Request) -> Service:
    """Returns the service that a request is for."""
    return request.app.state.service


async def owner_of(request: Request) -> Owner:
    """Returns who sends a request.

    Raises:
        Problem: The token is missing or wrong, or requests come too fast.
    """
    service: Service = request.app.state.service
    if not await service.needs_token():
        return service.people.local()
    token = _token(request.headers.get("authorization", ""))
    owner = await service.find_owner(token) if token else None
    if owner is None:
        address = request.client.host if request.client else ""
        wait_s = service.rates.bad_token(address) if token else 0.0
        if wait_s:
            raise _too_fast(wait_s)
        raise Problem(401, "a valid token is needed; send it as Authorization: Bearer", WWW_Authenticate=_CHALLENGE)
    wait_s = service.rates.take(owner.id, owner.limits.requests_per_minute)
    if wait_s:
        raise _too_fast(wait_s)
    return owner


def _token(header: str) -> str:
    """Returns the token of an Authorization header: Bearer, or Basic with the token as user or password."""
    scheme, _, value = header.partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return ""
        value = password or user
    elif scheme.lower() != "bearer":
        return ""
    return value if len(value) <= _MAX_TOKEN else ""


def _too_fast(wait_s: float) -> Problem:
    return Problem(429, "too many requests; wait a little", Retry_After=str(int(wait_s) + 1))


Caller = Annotated[Owner, Depends(owner_of)]
"""Who sends the request."""
Parts = Annotated[Service, Depends(service_of)]
"""The parts of the service."""
