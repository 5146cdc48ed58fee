"""Reads what decoded video frames carry besides pixels."""

from fractions import Fraction
from typing import Any, Final

from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame

_SideData: Any = SideDataContainer
"""PyAV's stubs do not know that it takes the frame."""
_NUM_KINDS: Final = 64
"""Kinds of side data that FFmpeg may number; it has about 40."""
_UNKNOWN: Final = sorted(set(range(_NUM_KINDS)) - {kind.value for kind in Type})
"""Numbers of kinds that PyAV has no name for, such as Exif data (31)."""


def display_matrix(frame: VideoFrame) -> bytes | None:
    """Returns the display matrix of a frame, nine 32-bit integers; None if it has none."""
    # `frame.side_data` would keep the frame in a reference cycle: frames of 4K, 12 MB each, would stay until Python
    # looks for cycles, which counts objects and not their bytes.
    try:
        known = _SideData(frame)
    except ValueError:
        # PyAV lists no side data at all if one kind has no name.
        known = _SideData(_without_unknown(frame))
    matrix = known.get("DISPLAYMATRIX")
    return None if matrix is None else bytes(matrix)


def _without_unknown(frame: VideoFrame) -> VideoFrame:
    """Returns the frame without side data of unnamed kinds, which FFmpeg's filter of that name deletes by number."""
    graph = Graph()
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1)
    )
    for kind in _UNKNOWN:
        deletion = graph.add("sidedata", f"mode=delete:type={kind}")
        last.link_to(deletion)
        last = deletion
    last.link_to(graph.add("buffersink"))
    graph.configure()
    graph.push(frame)
    kept = graph.pull()
    assert isinstance(kept, VideoFrame)
    return kept
