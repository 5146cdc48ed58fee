"""Makes sound and film files of known content, with PyAV, for the tests of media."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pcavs.media.audio import to_audio_frame
from unit.media.making import FilmMaker, SoundMaker

CODECS = {
    ".wav": ("pcm_s16le", "wav"),
    ".mp3": ("libmp3lame", "mp3"),
    ".m4a": ("aac", "ipod"),
    ".flac": ("flac", "flac"),
    ".ogg": ("libopus", "ogg"),
}


@pytest.fixture
def make_sound(tmp_path: Path) -> SoundMaker:
    def make(name: str, sound: np.ndarray, rate_hz: int, codec: str = "") -> Path:
        path = tmp_path / name
        default, container_format = CODECS[path.suffix]
        layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[len(sound)]
        with av.open(str(path), "w", format=container_format) as container:
            stream: Any = container.add_stream(codec or default, rate=rate_hz, layout=layout)
            frame = to_audio_frame(sound, rate_hz, layout, 0)

            context = stream.codec_context
            fit = av.AudioResampler(context.format, layout, rate_hz, frame_size=context.frame_size or None)
            for part in [*fit.resample(frame), *fit.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def make_film(tmp_path: Path) -> FilmMaker:
    """Frames at given times (s); frame k is `picture(k)`."""

    def make(
        name: str,
        times: list[Fraction],
        picture: Callable[[int], np.ndarray],
        codec: str = "libx264",
        prepare: Callable[[Any], None] | None = None,
        sound: np.ndarray | None = None,
    ) -> Path:
        path = tmp_path / name
        tick = Fraction(1, 120_000)
        first = picture(0)
        length = (times[-1] - times[-2]) if len(times) > 1 else tick
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(codec, rate=25)
            stream.height, stream.width = first.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = stream.time_base = tick
            if codec == "libx264":
                stream.options = {"crf": "6", "preset": "ultrafast"}
            if prepare is not None:
                prepare(stream)
            track: Any = None if sound is None else container.add_stream("aac", rate=16_000, layout="mono")
            for k, time in enumerate(times):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture(k)), format="rgb24")
                frame.pts, frame.time_base = int(time / tick), tick
                _mux(container, stream.encode(frame), length)
            _mux(container, stream.encode(None), length)
            if track is not None and sound is not None:
                frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16_000, 0
                container.mux(track.encode(frame))
                container.mux(track.encode(None))
        return path

    return make


def _mux(container: Any, packets: list[Any], length_s: Fraction) -> None:
    # The length of the last packet is all that tells how long the last frame is shown.
    for packet in packets:
        packet.duration = int(length_s / packet.time_base)
        container.mux(packet)
