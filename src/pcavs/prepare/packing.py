"""`pcavs pack`: turns shards into packs, which training reads without a video decoder."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from pcavs.data.pack import PackedClip, encode_picture, write_packs
from pcavs.data.shard import AlignedClip, read_shard
from pcavs.data.states import clip_states
from pcavs.errors import DataError
from pcavs.face.align import Square
from pcavs.media.bitstream import decode_pictures
from pcavs.media.mel import padded_mel
from pcavs.prepare.options import PackOptions
from pcavs.runtime.features import SpeechFeatures
from pcavs.spec import FeatureSpec, MelSpec


def run(options: PackOptions) -> list[Path]:
    """Writes packs from shards and returns their paths.

    Raises:
        DataError: There are no shards, or one is damaged.
        OutputError: The folder cannot be written.
    """
    shards = [shard for path in options.shards for shard in find_shards(path)]
    features = None if options.no_features else SpeechFeatures(FeatureSpec(), threads=1)
    clips = _packed_clips(shards, options, features)
    spec = None if features is None else features.spec
    return write_packs(clips, options.out, frame_px=options.frame_px, features=spec)


def find_shards(path: Path) -> list[Path]:
    """Lists the shards of a folder; a path that is no folder is taken as a shard itself.

    Raises:
        DataError: The folder holds none.
    """
    found = sorted(path.glob("shard-*.tar")) if path.is_dir() else [path]
    if not found:
        raise DataError(f"no shards in {path}; `pcavs prepare` makes them")
    return found


def _packed_clips(shards: list[Path], options: PackOptions, features: SpeechFeatures | None) -> Iterator[PackedClip]:
    clips = (clip for shard in shards for clip in read_shard(shard))
    for index, clip in enumerate(clips):
        if index % options.every == 0:
            yield pack_clip(clip, options.frame_px, features, options.quality)


def pack_clip(
    clip: AlignedClip, frame_px: int, features: SpeechFeatures | None, quality: int = PackOptions.quality
) -> PackedClip:
    """Packs one clip.

    Args:
        clip: The clip.
        frame_px: Side of the packed faces in pixels.
        features: Computes what speech encoders hear; None packs mel windows alone.
        quality: JPEG quality of the faces, 1 to 100.
    """
    # Landmarks become fractions of the side, measured from the picture's edge: pixel centres lie half a pixel inside.
    mesh = clip.mesh.copy()
    mesh[:, :, :2] = (mesh[:, :, :2] + 0.5) / clip.side_px
    mesh[:, :, 2] /= clip.side_px
    mel = states = None
    if clip.waveform is not None:
        mel = padded_mel(clip.waveform, len(clip.mesh), MelSpec()).astype(np.float16)
        states = None if features is None else clip_states(features, clip.waveform, len(clip.mesh))
    faces = decode_pictures(clip.film)
    return PackedClip(
        key=clip.key,
        speaker=str(clip.facts["speaker"]),
        source=str(clip.facts.get("source", "")),
        split=str(clip.facts["split"]),
        jpegs=[encode_picture(resized(face, frame_px), quality) for face in faces],
        mesh=mesh.astype(np.float16),
        lips=clip.lips.astype(np.float16),
        pose=clip.pose,
        mel=mel,
        truth=bool(clip.facts.get("truth", False)),
        confidence=clip.confidence,
        states=states,
    )


def resized(face: Square, side_px: int) -> UInt8[np.ndarray, "small small 3"]:
    """Reduces a face to another side; returns it unchanged if it has that side already."""
    return face if len(face) == side_px else cv2.resize(face, (side_px, side_px), interpolation=cv2.INTER_AREA)
