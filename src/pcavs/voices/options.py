"""Options of `pcavs voices`."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class VoicesOptions:
    """Lists the voices that can speak a text, with language and licence."""

    voices: Path | None = None
    """Folder of natural voices; without it, $PCAVS_VOICES, or `voices` in your data folder."""
