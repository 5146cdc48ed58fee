"""Limits how often somebody may ask: a bucket of requests for each name, which fills up again with time."""

import threading
import time
from typing import Final

_BAD_TOKENS_PER_MINUTE: Final = 20
"""Wrong tokens that one address may try in a minute."""
_MOST_NAMES: Final = 10_000
"""Names that are remembered; beyond them, those that have their full number of requests are forgotten."""
_MINUTE_S: Final = 60.0


class Rates:
    """Buckets in memory; each server has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, per_minute: int) -> float:
        """Takes one request of a name.

        Returns:
            0 if it may go on, or the seconds to wait.
        """
        with self._lock:
            now_s = time.monotonic()
            left, then_s = self._buckets.get(name, (float(per_minute), now_s))
            left = min(float(per_minute), left + (now_s - then_s) * per_minute / _MINUTE_S)
            wait_s = 0.0 if left >= 1 else (1 - left) * _MINUTE_S / per_minute
            self._buckets[name] = (left - 1 if left >= 1 else left, now_s)
            if len(self._buckets) > _MOST_NAMES:
                self._forget(now_s)
            return wait_s

    def bad_token(self, address: str) -> float:
        """Counts a wrong token from an address; returns the seconds to wait, or 0."""
        return self.take(f"bad {address}", _BAD_TOKENS_PER_MINUTE)

    def _forget(self, now_s: float) -> None:
        self._buckets = {name: value for name, value in self._buckets.items() if now_s - value[1] < _MINUTE_S}
