"""Options of `pcavs serve`, `pcavs worker` and `pcavs tokens`."""

import dataclasses
from pathlib import Path

from pcavs.animate.options import Device
from pcavs.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class _QueueOptions:
    """Where jobs and files are."""

    data: Path | None = None
    """Folder of the jobs and files; without it, `serve` in your data folder."""
    jobs: str | None = None
    """Address of the database with the jobs, such as postgresql://user@host/pcavs; without it, a file in the data
    folder."""

    def __post_init__(self) -> None:
        """Checks the address."""
        if self.jobs is not None and "://" not in self.jobs:
            raise InputError(f"{self.jobs} is no address of a database; give one such as postgresql://user@host/pcavs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _WorkOptions(_QueueOptions):
    """How films are made."""

    files: str | None = None
    """Address of an object store for uploads and films, such as s3://bucket/pcavs (extra `serve-s3`); without it, they
    are in the data folder."""
    workers: int | None = None
    """Worker processes, each with its own talker; without it, one for each processor core. 0 makes no films here."""
    tries: int = 3
    """How often a film is begun whose worker ends without a result; then it is set aside as failed."""
    grace: float = 20.0
    """Seconds that running films get to finish when the program is asked to stop; then they return to the queue."""
    job_minutes: float = 60.0
    """Time in which one film must be finished."""
    memory_gb: float = 8.0
    """Memory that one worker may take (address space)."""
    weights: Path | None = None
    """As in `pcavs animate`."""
    device: Device = "auto"
    """As in `pcavs animate`."""
    voices: Path | None = None
    """Folder of natural voices, as in `pcavs animate`."""
    sign_with: tuple[Path, Path] | None = None
    """As in `pcavs animate`."""
    tsa: str | None = None
    """As in `pcavs animate`."""

    def __post_init__(self) -> None:
        """Checks every setting."""
        super().__post_init__()
        if self.files is not None and "://" not in self.files:
            raise InputError(f"{self.files} is no address of an object store; give one such as s3://bucket/pcavs")
        if self.workers is not None and not 0 <= self.workers <= 256:
            raise InputError(f"{self.workers} workers cannot be used; give 0 to 256")
        if not 1 <= self.tries <= 20:
            raise InputError(f"{self.tries} tries cannot be used; give 1 to 20")
        for name in ("grace", "job_minutes", "memory_gb"):
            if not 0 <= getattr(self, name) <= 100_000:
                raise InputError(f"a {name} of {getattr(self, name):g} cannot be used; give a positive number")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServeOptions(_WorkOptions):
    """Serves a page and an API on this machine: upload a photo and a voice, watch the film."""

    host: str = "127.0.0.1"
    """Address to listen on. Others than loopback need tokens (`pcavs tokens new`)."""
    port: int = 8000
    """Port to listen on."""
    url: str | None = None
    """Address under which users reach the service, such as https://films.example, if a proxy is in front of it."""
    max_mb: float = 200.0
    """Largest upload, in megabytes."""
    max_megapixels: float = 50.0
    """Largest picture or frame, in millions of pixels."""
    max_seconds: float = 600.0
    """Longest sound or video."""
    max_characters: int = 5000
    """Longest text to speak."""
    days: float = 7.0
    """Days after which uploads and films are removed."""
    require_consent: bool = False
    """Refuses films without a record of the person's consent."""
    require_marks: bool = False
    """Refuses films without any mark in sound or picture (`marks` of `none`)."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts that may be told when a film is finished. Without any, webhooks are refused."""
    fetch_hosts: tuple[str, ...] = ()
    """Hosts from which pictures and sounds may be fetched. Without any, only uploads are read."""
    cors_origins: tuple[str, ...] = ()
    """Web pages of other hosts that may call the API from a browser, such as https://app.example."""

    def __post_init__(self) -> None:
        """Checks every setting."""
        super().__post_init__()
        if not 0 <= self.port <= 65535:
            raise InputError(f"a port of {self.port} cannot be used; give 1 to 65535, or 0 for any free one")
        for name in ("max_mb", "max_megapixels", "max_seconds", "days", "max_characters"):
            if not 0 < getattr(self, name) <= 1_000_000:
                raise InputError(f"a {name} of {getattr(self, name):g} cannot be used; give a positive number")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise InputError(f"{self.url} is no web address; give one such as https://films.example")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerOptions(_WorkOptions):
    """Makes films of a service's queue, on this or another machine."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewTokenOptions(_QueueOptions):
    """Makes a token for a user of the service and prints it once."""

    name: str
    """Whose token it is; for your list only."""
    waiting: int = 20
    """Films that may wait or run at once."""
    films_per_day: int = 1000
    """Films that may be ordered in a day."""
    requests_per_minute: int = 600
    """Requests in a minute."""
    storage_mb: float = 5000.0
    """Megabytes of uploads and films that are kept."""

    def __post_init__(self) -> None:
        """Checks every setting."""
        super().__post_init__()
        if not self.name.strip() or len(self.name) > 100:
            raise InputError("a token needs a name of 1 to 100 characters")
        for name in ("waiting", "films_per_day", "requests_per_minute", "storage_mb"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name):g}; give a positive number")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListTokensOptions(_QueueOptions):
    """Lists the tokens of the service: name, limits, and when each was made."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RevokeTokenOptions(_QueueOptions):
    """Makes a token invalid; its films stay until they expire."""

    name: str
    """Name of the token."""
