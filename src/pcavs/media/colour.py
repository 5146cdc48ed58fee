"""FFmpeg's codes for the colours of all video that the package encodes: BT.709 with limited range."""

from typing import Final

BT709: Final = 1
"""Code of BT.709, for colour space, primaries and transfer characteristics."""
LIMITED_RANGE: Final = 1
"""Code of limited ("MPEG") range."""
