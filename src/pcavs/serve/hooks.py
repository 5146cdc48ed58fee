"""Tells other programs that a film is finished: signed messages, sent again until they are accepted.

Form and signature follow the Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature` headers.
"""

import base64
import hashlib
import hmac
import json
import logging
import time
from typing import Any, Final

from sqlalchemy import delete, select, update

from pcavs.errors import InputError
from pcavs.serve.database import Database
from pcavs.serve.outside import Outside, read_limited
from pcavs.serve.tables import hooks, jobs, now_s

logger = logging.getLogger(__name__)

_DELAYS_S: Final = (5.0, 30.0, 120.0, 600.0, 3600.0, 14_400.0)
"""Time after each attempt that failed; after the last one a message is dropped."""
_SENDING_S: Final = 60.0
"""Time for which a message is one server's, so that several servers do not send it at once."""
_ANSWER_BYTES: Final = 10_000


def webhook_key(secret: str, owner: str) -> bytes:
    """Returns the key that signs the messages to one owner."""
    return hmac.new(secret.encode(), f"webhook:{owner}".encode(), hashlib.sha256).digest()


def shown_key(key: bytes) -> str:
    """Returns a key in the form in which receivers give it to their libraries."""
    return f"whsec_{base64.b64encode(key).decode()}"


def signed_headers(key: bytes, message: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Returns the headers of a message."""
    signed = hmac.new(key, f"{message}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


class Hooks:
    """The messages that are to be sent."""

    def __init__(self, database: Database, outside: Outside, secret: str) -> None:
        """Stores where messages are, which hosts may be told, and the secret of the service."""
        self._database, self._outside, self._secret = database, outside, secret

    def send_due(self) -> int:
        """Sends the messages whose time has come; returns how many were accepted."""
        accepted = 0
        while (row := self._claim()) is not None:
            if self._send(row):
                accepted += 1
                self._drop(row.id)
            elif row.attempts >= len(_DELAYS_S):
                logger.warning("a webhook was given up", extra={"job": row.job})
                self._drop(row.id)
            else:
                self._delay(row.id, _DELAYS_S[row.attempts])
        return accepted

    def _claim(self) -> Any | None:
        with self._database.write() as connection:
            due = select(hooks).where(hooks.c.due_at <= now_s()).order_by(hooks.c.due_at).limit(1)
            row = connection.execute(due.with_for_update(skip_locked=True)).first()
            if row is not None:
                values = {"due_at": now_s() + _SENDING_S, "attempts": hooks.c.attempts + 1}
                connection.execute(update(hooks).where(hooks.c.id == row.id).values(values))
        return row

    def _send(self, row: Any) -> bool:
        with self._database.read() as connection:
            owner = connection.execute(select(jobs.c.owner).where(jobs.c.id == row.job)).scalar()
        if owner is None:
            return True  # the film was deleted: nobody waits for the message
        timestamp = int(time.time())
        body = json.dumps({"type": "talk.finished", "timestamp": timestamp, "data": json.loads(row.body)}).encode()
        headers = signed_headers(webhook_key(self._secret, owner), f"msg_{row.job}_{row.id}", timestamp, body)
        try:
            response = self._outside.request("POST", row.url, body, headers)
            with response:
                for _ in read_limited(response, _ANSWER_BYTES):
                    pass
                return 200 <= response.status < 300
        except InputError:
            return False

    def _drop(self, number: int) -> None:
        with self._database.write() as connection:
            connection.execute(delete(hooks).where(hooks.c.id == number))

    def _delay(self, number: int, delay_s: float) -> None:
        with self._database.write() as connection:
            connection.execute(update(hooks).where(hooks.c.id == number).values(due_at=now_s() + delay_s))
