"""`pcavs prepare` and `pcavs pack`: films to shards, shards to packs."""

import contextlib
import itertools
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from webdataset.writer import TarWriter

from pcavs.data.pack import PackedClip, write_packs
from pcavs.data.shard import AlignedClip, read_shard, sample_of
from pcavs.errors import DataError, OutputError
from pcavs.face.pose import pose_code
from pcavs.face.regions import lips_shape
from pcavs.media.mel import padded_mel
from pcavs.prepare.clip import Source, find_sources, resized
from pcavs.prepare.options import PackOptions, PrepareOptions
from pcavs.prepare.worker import try_clip
from pcavs.spec import MelSpec

logger = logging.getLogger(__name__)

SHARD_CLIPS = 100


class Counts(NamedTuple):
    """What became of the sources."""

    kept: int
    rejected: int


def run(options: PrepareOptions) -> Counts:
    """Prepares every source and writes shards of 100 and a ledger with a row each.

    A shard is written to `.part` and renamed; shards that are there already are not made again, so an interrupted
    run goes on where it stopped.

    Raises:
        InputError: There is nothing to prepare.
        OutputError: The folder cannot be written.
    """
    sources = find_sources(options)
    kept = rejected = 0
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            spread = _spread(options.workers, stack)
            for start in range(0, len(sources), SHARD_CLIPS):
                shard = options.out / f"shard-{start // SHARD_CLIPS:04d}.tar"
                if shard.exists():
                    continue
                group = sources[start : start + SHARD_CLIPS]
                results = spread(try_clip, group, itertools.repeat(options))
                counts = _write_shard(shard, group, results)
                kept, rejected = kept + counts.kept, rejected + counts.rejected
                logger.info("%s: %d clips, %d rejected", shard.name, *counts)
    except OSError as error:
        raise OutputError(f"cannot write {options.out}: {error}; choose a folder with space") from error
    return Counts(kept, rejected)


def _spread(workers: int, stack: contextlib.ExitStack) -> Callable[..., Iterable[AlignedClip | str]]:
    """Gives `map` over processes; over this one where one is enough."""
    return stack.enter_context(ProcessPoolExecutor(workers)).map if workers > 1 else map


def _write_shard(shard: Path, group: list[Source], results: Iterable[AlignedClip | str]) -> Counts:
    part, kept, rows = shard.with_name(shard.name + ".part"), 0, []
    with TarWriter(str(part), mtime=0) as tar:
        for source, result in zip(group, results, strict=True):
            row: dict[str, Any] = {"key": source.key, "file": source.path.name, "kept": not isinstance(result, str)}
            if isinstance(result, str):
                row["reason"] = result
            else:
                kept += 1
                row["frames"] = len(result.jpegs)
                tar.write(sample_of(result))
            rows.append(json.dumps(row, sort_keys=True))
    (shard.with_suffix(".jsonl")).write_text("\n".join(rows) + "\n")
    part.replace(shard)
    return Counts(kept, len(rows) - kept)


def pack(options: PackOptions) -> list[Path]:
    """Turns shards into packs.

    Raises:
        DataError: No shards, or a damaged one.
        OutputError: The folder cannot be written.
    """
    shards = [shard for place in options.shards for shard in _shards(place)]
    return write_packs(_packed(shards, options), options.out, frame_px=options.frame_px)


def _shards(place: Path) -> list[Path]:
    found = sorted(place.glob("shard-*.tar")) if place.is_dir() else [place]
    if not found:
        raise DataError(f"no shards in {place}; `pcavs prepare` makes them")
    return found


def _packed(shards: list[Path], options: PackOptions) -> Iterator[PackedClip]:
    clips = (clip for shard in shards for clip in read_shard(shard))
    for index, clip in enumerate(clips):
        if index % options.every == 0:
            yield _pack_clip(clip, options)


def _pack_clip(clip: AlignedClip, options: PackOptions) -> PackedClip:
    share = clip.mesh.copy()
    share[:, :, :2] = (share[:, :, :2] + 0.5) / clip.side_px
    share[:, :, 2] /= clip.side_px
    mel = None
    if clip.waveform is not None:
        mel = padded_mel(clip.waveform, len(clip.jpegs), MelSpec()).astype(np.float16)
    return PackedClip(
        key=clip.key,
        speaker=str(clip.facts["speaker"]),
        source=str(clip.facts.get("source", "")),
        split=str(clip.facts["split"]),
        jpegs=[resized(jpeg, options.frame_px, options.quality) for jpeg in clip.jpegs],
        mesh=share.astype(np.float16),
        lips=lips_shape(clip.mesh).astype(np.float16),
        pose=pose_code(clip.mesh, clip.side_px),
        mel=mel,
    )
