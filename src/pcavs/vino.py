"""Imports OpenVINO without its telemetry, which would report the import to a service.

Modules of this package import OpenVINO from here. Nothing else in the process changes: whoever imports OpenVINO first,
or its telemetry, gets what they would get without this package.
"""

import contextlib
import sys
from collections.abc import Generator
from typing import Final

_TELEMETRY: Final = "openvino_telemetry"
"""Package that OpenVINO looks for when it is imported."""


@contextlib.contextmanager
def _without_telemetry() -> Generator[None]:
    is_loaded = _TELEMETRY in sys.modules
    if not is_loaded:
        sys.modules[_TELEMETRY] = None  # pyright: ignore[reportArgumentType] - importing it fails
    try:
        yield
    finally:
        if not is_loaded:
            del sys.modules[_TELEMETRY]


with _without_telemetry():
    import openvino as ov

__all__ = ["ov"]
