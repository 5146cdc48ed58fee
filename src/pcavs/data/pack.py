"""Packs: training clips decoded once into a few large safetensors files (docs/formats.md).

A pack needs no video decoder to read: faces are JPEGs of the network's size, speech is mel, and the labels are
arrays. It is what training reads, here or on a bare machine with an accelerator.
"""

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float16, Float32
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pcavs.errors import DataError, OutputError
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_BINS

FORMAT = "pcavs-pack-1"
MEL_PADDING_BINS = MEL_WINDOW_BINS - MEL_BINS_PER_FRAME
"""Bins beside four a frame: the window of frame i is bins 4i to 4i + 20."""

_PACKS = "pack-*.safetensors"
_HEADER_BYTES = 4096
"""Room for what safetensors says of the arrays."""
_ROW_BYTES = 512
"""Room for a clip's row in the metadata, less its key."""
_ARRAYS = ("jpeg", "jpeg_ends", "mesh", "lips", "pose", "mel")


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
    truth: bool = False
    """The pose is what a renderer was told to show, not what landmarks were fitted to."""


def write_packs(clips: Iterable[PackedClip], folder: Path, *, frame_px: int, limit_bytes: int = 60 << 20) -> list[Path]:
    """Writes clips into numbered packs, each under the limit; a pack appears whole or not at all.

    A clip that alone is larger than a pack is cut into pieces. Packs of the folder that an earlier, longer writing
    left behind are removed: packs are made again, not added to (docs/decisions/0006).

    Raises:
        OutputError: The folder cannot be written.
    """
    paths: list[Path] = []
    waiting: list[PackedClip] = []
    size, room = _HEADER_BYTES, limit_bytes
    for clip in itertools.chain.from_iterable(_pieces(clip, room - _HEADER_BYTES) for clip in clips):
        clip_bytes = _clip_bytes(clip)
        if waiting and size + clip_bytes > room:
            paths.append(_write(waiting, _pack_path(folder, len(paths)), frame_px))
            waiting, size = [], _HEADER_BYTES
        waiting.append(clip)
        size += clip_bytes
    if waiting:
        paths.append(_write(waiting, _pack_path(folder, len(paths)), frame_px))
    for stale in sorted(set(folder.glob(_PACKS)) - set(paths)):
        stale.unlink()
    return paths


def _pack_path(folder: Path, number: int) -> Path:
    return folder / f"pack-{number:03d}.safetensors"


def _clip_bytes(clip: PackedClip) -> int:
    size = sum(map(len, clip.jpegs)) + clip.mesh.nbytes + clip.lips.nbytes + clip.pose.nbytes
    size += clip.mel.nbytes if clip.mel is not None else 0
    return size + _ROW_BYTES + len(clip.key) + 8 * len(clip.jpegs)


def _pieces(clip: PackedClip, room: int) -> Iterator[PackedClip]:
    """Cuts a clip into as few equal pieces as fit; each keeps the mel that its frames' windows need."""
    count = -(-_clip_bytes(clip) // room)
    if count == 1:
        yield clip
        return
    # Frames differ in size: a piece of average frames would be too large half of the time.
    edges = np.linspace(0, len(clip.jpegs), min(len(clip.jpegs), 2 * count) + 1).astype(int).tolist()
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        bins = slice(start * MEL_BINS_PER_FRAME, stop * MEL_BINS_PER_FRAME + MEL_PADDING_BINS)
        yield clip._replace(
            key=f"{clip.key}-{number}",
            jpegs=clip.jpegs[start:stop],
            mesh=clip.mesh[start:stop],
            lips=clip.lips[start:stop],
            pose=clip.pose[start:stop],
            mel=None if clip.mel is None else clip.mel[:, bins],
        )


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
            "truth": clip.truth,
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
        with contextlib.suppress(OSError):  # where the folder is none, there is nothing to remove either
            part.unlink()
        raise OutputError(f"cannot write {path}: {error}; choose a folder with space and write permission") from error
    return path


def find_packs(places: Iterable[Path]) -> list[Path]:
    """Lists the packs in folders (sorted by name), or named directly.

    Raises:
        DataError: A place does not exist or holds no pack.
    """
    found: list[Path] = []
    for place in places:
        here = sorted(place.glob(_PACKS)) if place.is_dir() else [place] if place.is_file() else []
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
        DataError: The file is not a pack of this format, is cut short, or its arrays do not fit its clips.
    """
    with _open(path) as file:
        try:
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
            rows = json.loads((file.metadata() or {})["clips"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise DataError(f"{path} is not a whole pack: {error}; make it again with `pcavs pack`") from error
    _check_counts(path, arrays, rows)
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
            row.get("truth", False),  # packs made before rows said so hold no exact pose
        )
        frame, mel_bin = stop, mel_bin + (bins if row["heard"] else 0)


def _check_counts(path: Path, arrays: dict[str, np.ndarray], rows: list[dict[str, Any]]) -> None:
    frames = sum(row["frames"] for row in rows)
    bins = sum(row["frames"] * MEL_BINS_PER_FRAME + MEL_PADDING_BINS for row in rows if row["heard"])
    found = {name: len(arrays[name]) for name in ("jpeg_ends", "mesh", "lips", "pose")}
    found["mel"] = arrays["mel"].shape[1]
    for name, count in found.items():
        wanted = bins if name == "mel" else frames
        if count != wanted:
            raise DataError(
                f"{path}: {name} has {count} rows, its clips need {wanted}; make it again with `pcavs pack`"
            )


def _open(path: Path) -> safe_open:
    try:
        file = safe_open(path, "np")
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is not a whole pack: {error}; make it again with `pcavs pack`") from error
    found = (file.metadata() or {}).get("format", "none")
    if found != FORMAT:
        raise DataError(f"{path} has format {found}, {FORMAT} is needed; make it again with `pcavs pack`")
    return file
