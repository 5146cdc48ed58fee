"""Changes films as platforms and editors do: re-encodes, scales, crops and cuts them. Used by other benchmarks."""

import dataclasses
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np

from pcavs.media.audio import read_waveform, to_audio_frame
from pcavs.media.video import probe_video, read_frames
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ
from pcavs.types import Picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """What is done to a film."""

    crf: int = 23
    profile: str = "high"
    scale: float = 1.0
    """Factor on both sides."""
    short_px: int | None = None
    """Shorter side that the picture is scaled to, after `scale`."""
    crop: float = 0.0
    """Share of both sides that is cut off, unevenly: a third of it at the top and left."""
    fps: int = FRAME_RATE
    """Frames a second; frames are repeated."""
    start_s: float = 0.0
    end_s: float | None = None
    audio_bits_per_s: int | None = 64_000
    """Bit rate of its AAC sound; None for a silent film."""


CHANGES: Final = {
    "crf 18": Change(crf=18, audio_bits_per_s=128_000),
    "crf 23": Change(crf=23),
    "crf 28": Change(crf=28),
    "crf 30, AAC 48": Change(crf=30, audio_bits_per_s=48_000),
    "crf 32": Change(crf=32),
    "half size": Change(scale=0.5),
    "crop of 5 %": Change(crop=0.05),
    "crop of 10 %": Change(crop=0.1),
    "480 px, baseline, crf 28": Change(crf=28, profile="baseline", short_px=480),
    "30 fps": Change(fps=30),
    "cut to 3 s": Change(start_s=0.86, end_s=3.86),
    "cut to 3 s, half size, crf 30, AAC 48": Change(
        crf=30, scale=0.5, start_s=0.86, end_s=3.86, audio_bits_per_s=48_000
    ),
}


def write_changed(film: Path, out: Path, change: Change) -> int:
    """Writes a changed film; returns the bytes of its picture."""
    has_audio = probe_video(film).has_audio and change.audio_bits_per_s is not None
    with av.open(str(out), "w", format="mp4") as container:
        video: Any = container.add_stream("libx264", rate=change.fps, options={"preset": "veryfast", "threads": "1"})
        video.codec_context.options |= {"crf": str(change.crf), "profile": change.profile}
        audio: Any = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono") if has_audio else None
        if audio is not None:
            audio.bit_rate = change.audio_bits_per_s
        size = 0
        frames = [_changed(frame, change) for frame in read_frames(film, change.start_s, change.end_s)]
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        for k in range(round(len(frames) * change.fps / FRAME_RATE)):
            frame = frames[min(len(frames) - 1, k * FRAME_RATE // change.fps)]
            for packet in video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                size += packet.size
                container.mux(packet)
        for packet in video.encode(None):
            size += packet.size
            container.mux(packet)
        if audio is not None:
            samples = read_waveform(film, change.start_s, change.end_s)
            container.mux(audio.encode(to_audio_frame(samples[None], SAMPLE_RATE_HZ, "mono", 0)))
            container.mux(audio.encode(None))
    return size


def _changed(frame: Picture, change: Change) -> Picture:
    height, width = frame.shape[:2]
    top, left = round(change.crop * height / 3), round(change.crop * width / 3)
    frame = frame[top : height - round(change.crop * height) + top, left : width - round(change.crop * width) + left]
    height, width = frame.shape[:2]
    scale = change.scale
    if change.short_px is not None:
        scale = change.short_px / min(height, width)
    size = round(width * scale / 2) * 2, round(height * scale / 2) * 2
    if size == (width, height):
        return np.ascontiguousarray(frame)
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
