"""Names that cannot be guessed, and signed addresses."""

import hashlib
import hmac
import re
import secrets
from typing import Final

_ID_BYTES: Final = 16
"""Random bytes of a name: 128 bits."""
_TOKEN_BYTES: Final = 32
"""Random bytes of a token."""
ID: Final = re.compile(r"(img|aud|vid|trk|tlk)_[A-Za-z0-9_-]{22}")
"""A name that `new_id` makes."""


def new_id(kind: str) -> str:
    """Returns a new name, such as tlk_ and 22 characters."""
    return f"{kind}_{secrets.token_urlsafe(_ID_BYTES)}"


def new_token() -> str:
    """Returns a new token."""
    return f"pcavs_{secrets.token_urlsafe(_TOKEN_BYTES)}"


def token_hash(token: str) -> str:
    """Returns what is stored of a token. It is random and long, so that a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def signature(secret: str, text: str) -> str:
    """Returns the HMAC-SHA-256 of a text, as hexadecimal digits."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_signed(secret: str, text: str, signed: str) -> bool:
    """Tells whether `signed` is the signature of a text, in constant time."""
    return hmac.compare_digest(signature(secret, text).encode(), signed.encode())
