"""Figures of a server for Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pcavs.serve.queue import Queue

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """Figures of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "pcavs_requests", "Requests answered", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "pcavs_request_seconds", "Time to the first byte of the answer", buckets=_BUCKETS_S, registry=self._registry
        )
        self._jobs = Gauge("pcavs_jobs", "Films by state", ("state",), registry=self._registry)
        self._workers = Gauge("pcavs_workers", "Workers that are alive", registry=self._registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request; `route` is the pattern of the address, without ids."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.observe(seconds)

    def text(self, queue: Queue) -> bytes:
        """Returns all figures in the text format of Prometheus."""
        for state, count in queue.count_states().items():
            self._jobs.labels(state).set(count)
        self._workers.set(queue.count_workers())
        return generate_latest(self._registry)
