"""Packs: the training data of one or more sets, as a few large safetensors files (docs/formats.md).

`pcavs pack` derives them from shards, at the network's own size: faces are JPEGs, speech is a mel spectrogram and the
states of the pretrained speech encoder, labels are arrays. Reading them needs numpy and OpenCV only, so a machine
without a video decoder can train on them.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float16, Float32
from safetensors import SafetensorError, safe_open

from pcavs.errors import DataError
from pcavs.media.files import write_tensors
from pcavs.spec import (
    CONFIDENCE_CELLS,
    MEL_BINS_PER_FRAME,
    MEL_WINDOW_BINS,
    STATES_PER_FRAME,
    FeatureSpec,
    MelSpec,
)
from pcavs.types import Confidence, Picture

FORMAT: Final = "pcavs-pack-1"
MEL_PADDING_BINS: Final = MEL_WINDOW_BINS - MEL_BINS_PER_FRAME
"""Mel bins of a clip beyond four a frame: the window of frame i is bins 4i to 4i + 20."""

PACK_BYTES: Final = 60 << 20
"""Default limit of a pack's size, so that one pack is a small transfer. Chosen by hand."""

_PACKS: Final = "pack-*.safetensors"
_HEADER_BYTES: Final = 4096
"""Bytes reserved for safetensors' description of the arrays; measured headers are below 1 kB."""
_ROW_BYTES: Final = 512
"""Bytes reserved for a clip's row in the metadata, without its key; rows are about 200 bytes."""
_JPEG_END_BYTES: Final = 8
"""Bytes of an entry of `jpeg_ends`."""
_ARRAYS: Final = ("jpeg", "jpeg_ends", "mesh", "lips", "pose", "mel")
_NO_MASKS: Final = np.zeros((0, CONFIDENCE_CELLS, CONFIDENCE_CELLS), np.uint8)
"""The array `confidence` of older packs, which lack it."""
_NO_STATES: Final = np.zeros((0, 1), np.float16)
"""The array `states` of packs without speech features."""

STATE_MARGIN_FRAMES: Final = 12
"""Frames before a clip's first and after its last whose states are stored too (0.48 s): what a speech encoder may hear
around a frame."""


class PackedClip(NamedTuple):
    """A continuous piece of video of one speaker at 25 fps, or a single picture; or a lip track without pictures."""

    key: str
    """Unique within a set."""
    speaker: str
    source: str
    split: str
    jpegs: list[bytes]
    """One aligned face per frame, as JPEG; their side is the pack's `frame_px`. None of a lip track."""
    mesh: Float16[np.ndarray, "faces 478 3"]
    """Landmarks as fractions of the crop's side: pixel centre x is (x + 0.5) / side. None of a lip track."""
    lips: Float16[np.ndarray, "time lip_numbers"]
    """Lip shape without head pose, in centimetres (`face.regions.lips_shape`)."""
    pose: Float32[np.ndarray, "faces 12"]
    """Pose code (`face.pose.pose_code`). None of a lip track."""
    mel: Float16[np.ndarray, "80 bins"] | None
    """Four bins per frame and 16 of padding; None where the clip has no sound."""
    truth: bool = False
    """Whether the pose is a render's exact one; else it was fitted to landmarks."""
    confidence: Confidence | None = None
    """None where every pixel is as it was photographed."""
    states: Float16[np.ndarray, "states dim"] | None = None
    """Speech features (`spec.FeatureSpec`): two states a frame, from `STATE_MARGIN_FRAMES` before the first frame to as
    many after the last; None where the clip has no sound, or was packed without features."""

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.lips)

    def part(self, start: int, stop: int) -> "PackedClip":
        """Returns the frames from `start` to before `stop`, with the sound that they need."""
        bins = slice(start * MEL_BINS_PER_FRAME, stop * MEL_BINS_PER_FRAME + MEL_PADDING_BINS)
        states = slice(start * STATES_PER_FRAME, (stop + 2 * STATE_MARGIN_FRAMES) * STATES_PER_FRAME)
        return self._replace(
            jpegs=self.jpegs[start:stop],
            mesh=self.mesh[start:stop],
            lips=self.lips[start:stop],
            pose=self.pose[start:stop],
            mel=None if self.mel is None else self.mel[:, bins],
            confidence=None if self.confidence is None else self.confidence[start:stop],
            states=None if self.states is None else self.states[states],
        )


def encode_picture(picture: Picture, quality: int) -> bytes:
    """Encodes an RGB picture as JPEG."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), flags)[1].tobytes()


def decode_picture(data: bytes) -> Picture:
    """Decodes a JPEG to RGB.

    Raises:
        DataError: The bytes are not a JPEG.
    """
    # OpenCV raises for zero bytes, and returns None for bytes that it cannot read.
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if picture is None:
        raise DataError(f"a stored face of {len(data)} bytes is not a JPEG; pack its clip again")
    return picture.astype(np.uint8, copy=False)


def write_packs(
    clips: Iterable[PackedClip],
    folder: Path,
    *,
    frame_px: int,
    limit_bytes: int = PACK_BYTES,
    features: FeatureSpec | None = None,
) -> list[Path]:
    """Writes clips into numbered packs, each smaller than the limit, whole or not at all.

    A clip larger than the limit is cut into pieces. Packs with higher numbers, left in the folder by an earlier call,
    are deleted: packs are made again, not added to (docs/decisions/0014).

    Args:
        clips: The clips, in the order to write.
        folder: Created if missing.
        frame_px: Side of the clips' faces in pixels.
        limit_bytes: Largest size of a pack.
        features: What the clips' `states` are; None where they have none.

    Returns:
        The packs' paths.

    Raises:
        OutputError: The folder cannot be written.
    """
    paths: list[Path] = []
    waiting: list[PackedClip] = []
    size = _HEADER_BYTES
    for clip in itertools.chain.from_iterable(_pieces(clip, limit_bytes - _HEADER_BYTES) for clip in clips):
        clip_bytes = _clip_bytes(clip)
        if waiting and size + clip_bytes > limit_bytes:
            paths.append(_write(waiting, _pack_path(folder, len(paths)), frame_px, features))
            waiting, size = [], _HEADER_BYTES
        waiting.append(clip)
        size += clip_bytes
    if waiting:
        paths.append(_write(waiting, _pack_path(folder, len(paths)), frame_px, features))
    for stale in sorted(set(folder.glob(_PACKS)) - set(paths)):
        stale.unlink()
    return paths


def _pack_path(folder: Path, number: int) -> Path:
    return folder / f"pack-{number:03d}.safetensors"


def _clip_bytes(clip: PackedClip) -> int:
    """Estimates, from above, the bytes that a clip adds to a pack."""
    size = sum(map(len, clip.jpegs)) + clip.mesh.nbytes + clip.lips.nbytes + clip.pose.nbytes
    size += sum(array.nbytes for array in (clip.mel, clip.confidence, clip.states) if array is not None)
    return size + _ROW_BYTES + len(clip.key) + _JPEG_END_BYTES * len(clip.jpegs)


def _pieces(clip: PackedClip, room: int) -> Iterator[PackedClip]:
    """Cuts a clip that exceeds `room` bytes into equal pieces; each keeps the mel bins that its frames need."""
    count = -(-_clip_bytes(clip) // room)
    if count == 1:
        yield clip
        return
    # Frames differ in size: with just enough pieces, half of them would exceed the limit. Twice as many fit.
    edges = np.linspace(0, clip.num_frames, min(clip.num_frames, 2 * count) + 1).astype(int).tolist()
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        yield clip.part(start, stop)._replace(key=f"{clip.key}-{number}")


def _write(clips: list[PackedClip], path: Path, frame_px: int, features: FeatureSpec | None) -> Path:
    jpegs = [jpeg for clip in clips for jpeg in clip.jpegs]
    mels = [clip.mel for clip in clips if clip.mel is not None]
    masks = [clip.confidence for clip in clips if clip.confidence is not None]
    states = [clip.states for clip in clips if clip.states is not None]
    tensors = {
        "jpeg": np.frombuffer(b"".join(jpegs), np.uint8),
        "jpeg_ends": np.cumsum([len(jpeg) for jpeg in jpegs], dtype=np.int64),
        "mesh": np.concatenate([clip.mesh for clip in clips]),
        "lips": np.concatenate([clip.lips for clip in clips]),
        "pose": np.concatenate([clip.pose for clip in clips]),
        "mel": np.concatenate(mels, axis=1) if mels else np.zeros((MelSpec().mel_channels, 0), np.float16),
        "confidence": np.concatenate([_NO_MASKS, *masks]),
        "states": np.concatenate(states) if states else _NO_STATES,
    }
    rows = [
        {
            "key": clip.key,
            "speaker": clip.speaker,
            "source": clip.source,
            "split": clip.split,
            "frames": clip.num_frames,
            "faces": bool(clip.jpegs),
            "heard": clip.mel is not None or clip.states is not None,
            "mel": clip.mel is not None,
            "states": clip.states is not None,
            "truth": clip.truth,
            "confidence": clip.confidence is not None,
        }
        for clip in clips
    ]
    facts = {"format": FORMAT, "frame_px": str(frame_px), "clips": json.dumps(rows, sort_keys=True)}
    if features is not None:
        facts["features"] = features.to_json()
    write_tensors(path, tensors, facts)
    return path


def find_packs(places: Iterable[Path]) -> list[Path]:
    """Lists packs: those in a folder, sorted by name, or one that is named itself.

    Raises:
        DataError: A place does not exist, or is a folder without packs.
    """
    found: list[Path] = []
    for place in places:
        here = sorted(place.glob(_PACKS)) if place.is_dir() else [place] if place.is_file() else []
        if not here:
            raise DataError(f"no packs in {place}; `pcavs pack` makes them from shards")
        found.extend(here)
    return found


def pack_frame_px(path: Path) -> int:
    """Reads the side of a pack's faces in pixels.

    Raises:
        DataError: The file is not a pack of this format.
    """
    with _open(path) as file:
        return int((file.metadata() or {})["frame_px"])


def pack_features(path: Path) -> FeatureSpec | None:
    """Reads what the `states` of a pack's clips are; None where they have none.

    Raises:
        DataError: The file is not a pack of this format.
        WeightsError: The pack's features are of a kind that this version does not know.
    """
    with _open(path) as file:
        text = (file.metadata() or {}).get("features")
    return None if text is None else FeatureSpec.from_json(text)


def read_pack(path: Path) -> Iterator[PackedClip]:
    """Reads the clips of a pack in their order.

    Raises:
        DataError: The file is not a pack of this format, is cut short, or its arrays do not fit its clips.
    """
    with _open(path) as file:
        try:
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
            names = list(file.keys())
            arrays |= {name: file.get_tensor(name) for name in ("confidence", "states") if name in names}
            rows = [_filled(row) for row in json.loads((file.metadata() or {})["clips"])]
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} is not a whole pack: {error}; make it again with `pcavs pack`") from error
    arrays = {"confidence": _NO_MASKS, "states": _NO_STATES, **arrays, "mel": arrays["mel"].T}
    _check_counts(path, arrays, rows)
    data = arrays["jpeg"].tobytes()
    ends = [0, *(int(end) for end in arrays["jpeg_ends"])]
    counted = [name for name in arrays if name != "jpeg"]
    first = dict.fromkeys(counted, 0)
    for row in rows:
        after = {name: first[name] + _num_rows(name, row) for name in counted}
        part = {name: arrays[name][first[name] : after[name]] for name in counted}
        yield PackedClip(
            row["key"],
            row["speaker"],
            row["source"],
            row["split"],
            [data[ends[i] : ends[i + 1]] for i in range(first["jpeg_ends"], after["jpeg_ends"])],
            part["mesh"],
            part["lips"],
            part["pose"],
            part["mel"].T if row["mel"] else None,
            row["truth"],
            part["confidence"] if row["confidence"] else None,
            part["states"] if row["states"] else None,
        )
        first = after


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    """Adds the fields that rows of older packs lack: these have faces, and neither states, masks nor exact poses."""
    return {"faces": True, "mel": row["heard"], "states": False, "confidence": False, "truth": False, **row}


def _num_rows(name: str, row: dict[str, Any]) -> int:
    """Returns the number of rows of one array that belong to a clip; `mel` has one for each bin."""
    frames = row["frames"]
    if name == "lips":
        return frames
    if name == "mel":
        return frames * MEL_BINS_PER_FRAME + MEL_PADDING_BINS if row["mel"] else 0
    if name == "states":
        return (frames + 2 * STATE_MARGIN_FRAMES) * STATES_PER_FRAME if row["states"] else 0
    if name == "confidence":
        return frames if row["confidence"] else 0
    return frames if row["faces"] else 0


def _check_counts(path: Path, arrays: dict[str, np.ndarray], rows: list[dict[str, Any]]) -> None:
    for name, array in arrays.items():
        wanted = sum(_num_rows(name, row) for row in rows)
        if name != "jpeg" and len(array) != wanted:
            raise DataError(
                f"{path}: {name} has {len(array)} rows, its clips need {wanted}; make it again with `pcavs pack`"
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
