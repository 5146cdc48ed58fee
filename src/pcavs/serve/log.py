"""Logs as JSON, one object a line, on standard error. Nothing in them says who somebody is."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

_FIELDS: Final = (
    "method",
    "route",
    "status",
    "took_s",
    "request",
    "worker",
    "job",
    "attempt",
    "exit_code",
    "address",
    "kind",
)
"""Facts that a log entry may have besides its text."""


class JsonFormatter(logging.Formatter):
    """Formats an entry as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line of an entry."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        entry |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def configure_logging() -> None:
    """Sends the package's log to standard error as JSON: information and warnings.

    Notes about films name the files of users, so that those of the making of films are errors only.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("pcavs").setLevel(logging.ERROR)
    logging.getLogger("pcavs.serve").setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
