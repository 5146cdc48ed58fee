"""Writes a valid file of every kind that pcavs reads, for `fuzz_readers.py` to damage. All content is synthetic."""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np

from pcavs.data.shard import AlignedClip, ShardWriter
from pcavs.face.regions import lips_shape
from pcavs.media.bitstream import encode_pictures
from pcavs.mouth.inside import OwnTeeth
from pcavs.mouth.own_teeth import FILE as TEETH_FILE
from pcavs.mouth.own_teeth import save_teeth
from pcavs.pose.calibration import FILE, plain_map, save_map
from pcavs.pose.track import save_track, still
from pcavs.spec import MESH_POINTS, POSE_DIM, SAMPLES_PER_FRAME, TINY_FLOW, TalkerSpec
from pcavs.weights.bundle import Bundle, save_bundle

_VIDEO_SIZE_PX: Final = (48, 64)
"""Height and width of the videos."""
_VIDEO_FRAMES: Final = 12
_TURNED_DEG: Final = 90
"""Display rotation of the video without sound."""
_PICTURE_SIZE_PX: Final = (40, 56)
_LOUDNESS: Final = 0.3
_RADIANS_PER_SAMPLE: Final = 0.1
"""Frequency of the tone that is the sound of all files."""
_CLIP_PX: Final = 64
_CLIP_FRAMES: Final = 3
_AUDIO_RATE_HZ: Final = 44_100
_SOUND_RATE_HZ: Final = 22_050
_OPUS_RATE_HZ: Final = 48_000
"""The one rate that Opus takes here."""
_VIDEOS: Final = {
    "film.mp4": ("libx264", "aac"),
    "film.mov": ("mpeg4", "pcm_s16le"),
    "film.mkv": ("libx264", "libopus"),
    "film.webm": ("libvpx-vp9", "libopus"),
    "film.avi": ("mpeg4", "libmp3lame"),
    "film.mpg": ("mpeg1video", "mp2"),
    "turned.mp4": ("libx264", None),
}
"""Video and audio codec of each file."""
_SOUNDS: Final = {
    "sound.wav": ("pcm_s16le", "s16"),
    "bytes.wav": ("pcm_u8", "u8"),
    "float.wav": ("pcm_f32le", "flt"),
    "sound.mp3": ("libmp3lame", "s16p"),
    "sound.flac": ("flac", "s16"),
    "sound.ogg": ("libopus", "flt"),
    "sound.m4a": ("aac", "fltp"),
}
"""Codec and sample format of each file."""
_PICTURES: Final = {
    "plain.jpg": (3, [cv2.IMWRITE_JPEG_QUALITY, 90]),
    "progressive.jpg": (3, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "plain.png": (3, []),
    "clear.png": (4, []),
    "grey.png": (1, []),
    "plain.webp": (3, [cv2.IMWRITE_WEBP_QUALITY, 80]),
    "clear.webp": (4, [cv2.IMWRITE_WEBP_QUALITY, 101]),
}
"""Channels and encoder settings of each file."""
_EXIF: Final = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"

"""An EXIF segment that says that the picture is to be turned."""

TIMELINE: dict[str, Any] = {
    "format": "pcavs-pose-1",
    "mode": "relative",
    "cross_fade_s": 0.5,
    "smoothing_s": 0.1,
    "segments": [
        {"kind": "keys", "keys": [{"at_s": 0}, {"at_s": 1.5, "yaw": 15, "ease": "linear"}, {"at_s": 3, "scale": 1.1}]},
        {"kind": "video", "path": "head.mp4", "start_s": 2, "end_s": 6, "extrapolation": "bounce", "duration_s": 8},
        {"kind": "track", "path": "head.npz", "strength": 0.5, "extrapolation": "loop"},
        {
            "kind": "mix",
            "duration_s": 5,
            "parts": [{"kind": "preset", "name": "lively", "weight": 0.5}, {"kind": "keys", "keys": [{"at_s": 0}]}],
        },
        {"kind": "preset", "name": "presenter", "seed": 3},
    ],
}
_JOBS: list[dict[str, Any]] = [
    {"identity": "a.jpg", "audio": "b.wav", "out": "c.mp4", "pose": "yaw=20,pitch=-5", "size": 256},
    {"identity": "a.jpg", "say": "hello", "out": "d.mp4", "references": "e.jpg;f.jpg", "full_frame": True},
    {"identity": "a.jpg", "audio": "b.wav", "out": "g.mp4", "start": 0.5, "end": 2, "gate": -30, "missing": "hold"},
]


def json_seeds(folder: Path) -> Iterator[Path]:
    """Writes a timeline, jobs, a journal, a ledger, a pose map, a render's truth, and the spec of exported networks."""
    rows = "".join(json.dumps(job) + "\n" for job in _JOBS)
    row = {"key": "a", "kept": True, "frames": 75, "file": "a.mp4", "measures": {"found": 1.0}, "offset": 0, "bytes": 9}
    truth = {"yaw_pitch_roll_deg": [[1.0, 2.0, 3.0]] * 9, "identity": "somebody"}
    facts = {"format": "pcavs-networks-1", "digest": "0" * 64, "licence": "none", "files": {}, "provenance": {}}
    spec = json.loads(TalkerSpec(flow=TINY_FLOW).to_json())
    texts = {
        "timeline.json": json.dumps(TIMELINE),
        "jobs.jsonl": rows,
        "journal.jsonl": json.dumps({"row": 1, "digest": "ab", "done": True}) + "\n",
        "shard-00000.jsonl": json.dumps(row) + "\n",
        "truth.json": json.dumps(truth),
        "spec.json": json.dumps(facts | {"spec": spec}),
        "talker.json": json.dumps(spec),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        yield folder / name
    save_map(plain_map(), "0" * 64, folder / FILE)
    yield folder / FILE
    save_teeth(OwnTeeth(tint=(1.0, 1.0, 0.95)), "0" * 64, folder / TEETH_FILE)
    yield folder / TEETH_FILE


def csv_seeds(folder: Path) -> Iterator[Path]:
    """Writes jobs, and tables that list clips and voices."""
    names = list(dict.fromkeys(name for job in _JOBS for name in job))
    jobs = [",".join(names)] + [",".join(f'"{job.get(name, "")}"' for name in names) for job in _JOBS]
    texts = {
        "jobs.csv": "\n".join(jobs) + "\n",
        "sets.csv": "name,clips,kind,index\ngrid,clips/grid,real,index.csv\nheads,clips/heads,rendered,\n",
        "index.csv": "path,identity,source,split,licence\na.mp4,Ann,GRID,train,CC0\nb/c.jpg,Bob,,val,\n",
        "voices.csv": "path,speaker,split,language,text\na.wav,Ann,train,en,hello there\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        yield folder / name


def media_seeds(folder: Path) -> Iterator[Path]:
    """Writes videos, sounds, pictures, weights, a head track and a shard."""
    for name, codecs in _VIDEOS.items():
        yield _video(folder / name, *codecs)
    for name, (codec, sample_format) in _SOUNDS.items():
        yield _sound(folder / name, codec, sample_format)
        joined = folder / f"joined-{name}"
        joined.write_bytes(3 * (folder / name).read_bytes())  # files that were joined end to end
        yield joined
    for name, (channels, settings) in _PICTURES.items():
        cv2.imwrite(
            str(folder / name),
            np.random.default_rng(0).integers(0, 255, (*_PICTURE_SIZE_PX, channels), np.uint8),
            settings,
        )
        yield folder / name
    data = (folder / "plain.jpg").read_bytes()
    (folder / "exif.jpg").write_bytes(data[:2] + _EXIF + data[2:])
    yield folder / "exif.jpg"
    arrays = {"weight": np.ones((4, 4), np.float32), "half": np.ones(3, np.float16)}
    bundle = Bundle(spec=TalkerSpec(flow=TINY_FLOW), tensors=arrays, provenance={"recipe": "none"}, licence="none")
    save_bundle(bundle, folder / "talker.safetensors")
    yield folder / "talker.safetensors"
    save_track(still(20), np.ones(20, bool), folder / "track.npz", overwrite=True)
    yield folder / "track.npz"
    yield _shard(folder / "shard.tar")


def _video(path: Path, video_codec: str, audio_codec: str | None) -> Path:
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(video_codec, rate=25)
        (video.height, video.width), video.pix_fmt = _VIDEO_SIZE_PX, "yuv420p"
        if audio_codec is None:
            video.set_display_rotation(_TURNED_DEG)
        rate = _OPUS_RATE_HZ if audio_codec == "libopus" else _AUDIO_RATE_HZ
        audio: Any = container.add_stream(audio_codec, rate=rate, layout="mono") if audio_codec else None
        for t in range(_VIDEO_FRAMES):
            picture = np.roll(rng.integers(0, 255, (*_VIDEO_SIZE_PX, 3), np.uint8), t, axis=1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            _mux_sound(container, audio, rate, audio.codec_context.format.name)
    return path


def _sound(path: Path, codec: str, sample_format: str) -> Path:
    rate = _OPUS_RATE_HZ if codec == "libopus" else _SOUND_RATE_HZ
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, layout="mono")
        _mux_sound(container, stream, rate, sample_format)
    return path


def _mux_sound(container: Any, stream: Any, rate_hz: int, sample_format: str) -> None:
    tone = (_LOUDNESS * np.sin(np.arange(rate_hz // 2) * _RADIANS_PER_SAMPLE)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
    size = stream.codec_context.frame_size or None
    resampler = av.AudioResampler(sample_format, "mono", rate_hz, frame_size=size)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))


def _shard(path: Path) -> Path:
    rng = np.random.default_rng(2)
    mesh = rng.uniform(0, _CLIP_PX, (_CLIP_FRAMES, MESH_POINTS, 3)).astype(np.float32)
    clip = AlignedClip(
        key="clip",
        facts={"speaker": "Ann", "source": "drawn", "split": "train"},
        film=encode_pictures(rng.integers(0, 255, (_CLIP_FRAMES, _CLIP_PX, _CLIP_PX, 3), np.uint8)),
        mesh=mesh,
        pose=np.zeros((_CLIP_FRAMES, POSE_DIM), np.float32),
        lips=lips_shape(mesh),
        transform=np.eye(2, 3),
        waveform=np.zeros(_CLIP_FRAMES * SAMPLES_PER_FRAME, np.float32),
        side_px=_CLIP_PX,
    )
    with ShardWriter(path) as shard:
        shard.write(clip)
        shard.write(clip._replace(key="other", facts=dict(clip.facts)))
    return path
