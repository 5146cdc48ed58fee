"""Packs: training clips decoded once into a few large safetensors files (docs/formats.md).

A pack needs no video decoder to read: faces are JPEGs of the network's size, speech is mel, and the labels are
arrays. It is what training reads, here or on a bare machine with an accelerator.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float16, Float32
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pcavs.errors import DataError, OutputError
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_BINS

FORMAT = "pcavs-pack-1"
MEL_PADDING_BINS = MEL_WINDOW_BINS - MEL_BINS_PER_FRAME
"""Bins beside four a frame: the window of frame i is bins 4i to 4i + 20."""


class PackedClip(NamedTuple):
    """A continuous piece of one speaker at 25 fps, or a single picture."""

    key: str
    speaker: str
    source: str
    split: str
    jpegs: list[bytes]
    """One aligned face a frame, side `Packs.frame_px`."""
    mesh: Float16[np.ndarray, "time 478 3"]
    """Landmarks as shares of the crop's side: pixel centre x is (x + 0.5) / side."""
    lips: Float16[np.ndarray, "time lip_numbers"]
    """Lip shape with the head's pose removed, in centimetres (`face.regions.lips_shape`)."""
    pose: Float32[np.ndarray, "time 12"]
    mel: Float16[np.ndarray, "80 bins"] | None
    """Four bins a frame and 16 of padding; none where the clip has no sound."""


def write_packs(clips: Iterable[PackedClip], folder: Path, *, frame_px: int, limit_bytes: int = 60 << 20) -> list[Path]:
    """Writes clips into numbered packs, each under the limit; a pack appears whole or not at all.

    Raises:
        OutputError: The folder cannot be written.
    """
    paths: list[Path] = []
    waiting: list[PackedClip] = []
    size = 0
    for clip in clips:
        clip_bytes = sum(map(len, clip.jpegs)) + clip.mesh.nbytes + clip.lips.nbytes + clip.pose.nbytes
        clip_bytes += clip.mel.nbytes if clip.mel is not None else 0
        if waiting and size + clip_bytes > limit_bytes - (1 << 20):
            paths.append(_write(waiting, folder / f"pack-{len(paths):03d}.safetensors", frame_px))
            waiting, size = [], 0
        waiting.append(clip)
        size += clip_bytes
    if waiting:
        paths.append(_write(waiting, folder / f"pack-{len(paths):03d}.safetensors", frame_px))
    return paths


def _write(clips: list[PackedClip], path: Path, frame_px: int) -> Path:
    jpegs = [jpeg for clip in clips for jpeg in clip.jpegs]
    mels = [clip.mel for clip in clips if clip.mel is not None]
    tensors = {
        "jpeg": np.frombuffer(b"".join(jpegs), np.uint8),
        "jpeg_ends": np.cumsum([len(jpeg) for jpeg in jpegs], dtype=np.int64),
        "mesh": np.concatenate([clip.mesh for clip in clips]),
        "lips": np.concatenate([clip.lips for clip in clips]),
        "pose": np.concatenate([clip.pose for clip in clips]),
        "mel": np.concatenate(mels, axis=1) if mels else np.zeros((80, 0), np.float16),
    }
    rows = [
        {
            "key": clip.key,
            "speaker": clip.speaker,
            "source": clip.source,
            "split": clip.split,
            "frames": len(clip.jpegs),
            "heard": clip.mel is not None,
        }
        for clip in clips
    ]
    metadata = {"format": FORMAT, "frame_px": str(frame_px), "clips": json.dumps(rows, sort_keys=True)}
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, part, metadata=metadata)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error}; choose a folder with space and write permission") from error
    return path


def find_packs(places: Iterable[Path]) -> list[Path]:
    """Lists the packs in folders (sorted by name), or named directly.

    Raises:
        DataError: A place does not exist or holds no pack.
    """
    found: list[Path] = []
    for place in places:
        here = sorted(place.glob("pack-*.safetensors")) if place.is_dir() else [place] if place.is_file() else []
        if not here:
            raise DataError(f"no packs in {place}; `pcavs pack` makes them from shards")
        found.extend(here)
    return found


def pack_frame_px(path: Path) -> int:
    """Side of the faces in a pack."""
    with _open(path) as file:
        return int((file.metadata() or {})["frame_px"])


def read_pack(path: Path) -> Iterator[PackedClip]:
    """Reads the clips of a pack in their order.

    Raises:
        DataError: The file is not a pack of this format, or is cut short.
    """
    with _open(path) as file:
        arrays = {name: file.get_tensor(name) for name in ("jpeg", "jpeg_ends", "mesh", "lips", "pose", "mel")}
        rows = json.loads((file.metadata() or {})["clips"])
    data, ends = arrays["jpeg"].tobytes(), [0, *arrays["jpeg_ends"].tolist()]
    frame = mel_bin = 0
    for row in rows:
        stop, bins = frame + row["frames"], row["frames"] * MEL_BINS_PER_FRAME + MEL_PADDING_BINS
        mel = arrays["mel"][:, mel_bin : mel_bin + bins] if row["heard"] else None
        yield PackedClip(
            row["key"],
            row["speaker"],
            row["source"],
            row["split"],
            [data[ends[i] : ends[i + 1]] for i in range(frame, stop)],
            arrays["mesh"][frame:stop],
            arrays["lips"][frame:stop],
            arrays["pose"][frame:stop],
            mel,
        )
        frame, mel_bin = stop, mel_bin + (bins if row["heard"] else 0)


def _open(path: Path) -> safe_open:
    try:
        file = safe_open(path, "np")
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is not a whole pack: {error}; make it again with `pcavs pack`") from error
    found = (file.metadata() or {}).get("format", "none")
    if found != FORMAT:
        raise DataError(f"{path} has format {found}, {FORMAT} is needed; make it again with `pcavs pack`")
    return file
