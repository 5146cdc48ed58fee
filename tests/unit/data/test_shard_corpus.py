"""Batches from shards on disk: those that packs of the same clips give, without holding the data in memory."""

import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.drawn import drawn_clip
from pcavs.data.corpus import Batch
from pcavs.data.pack import PackedClip, decode_picture
from pcavs.data.pack_corpus import PackCorpus
from pcavs.data.shard import AlignedClip, ShardWriter, ledger_path
from pcavs.data.shard_corpus import ShardCorpus
from pcavs.errors import DataError
from pcavs.face.pose import pose_code
from pcavs.face.regions import lips_shape
from pcavs.media.bitstream import encode_pictures
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.prepare.options import PackOptions
from pcavs.prepare.packing import run as pack
from pcavs.spec import MelSpec

SIDE = 64


def aligned(packed: PackedClip) -> AlignedClip:
    """A drawn clip as `pcavs prepare` would have stored it."""
    rng = np.random.default_rng(list(packed.key.encode()))
    mesh = packed.mesh.astype(np.float32) * SIDE
    mesh[:, :, :2] -= 0.5
    facts = {"speaker": packed.speaker, "source": packed.source, "split": packed.split, "truth": packed.truth}
    waveform = None if packed.mel is None else rng.normal(0, 0.1, len(mesh) * 640).astype(np.float32)
    film = encode_pictures([decode_picture(jpeg) for jpeg in packed.jpegs])
    return AlignedClip(
        packed.key,
        facts,
        film,
        mesh,
        pose_code(mesh, SIDE),
        lips_shape(mesh),
        np.eye(2, 3),
        waveform,
        SIDE,
        packed.confidence,
    )


def write_shards(folder: Path, clips: list[AlignedClip]) -> Path:
    folder.mkdir(parents=True)
    rows = [{"kept": False, "key": "x", "file": "x.mp4", "gate": "face", "reason": "none"}]
    with ShardWriter(folder / "shard-00000-0.tar") as shard:
        for clip in clips:
            span = shard.write(clip)
            row = {name: clip.facts[name] for name in ("speaker", "source", "split", "truth")}
            row |= {"key": clip.key, "kept": True, "frames": len(clip.mesh), "heard": clip.waveform is not None}
            rows.append(row | {"shard": "shard-00000-0.tar", "offset": span.offset, "bytes": span.size})
    ledger_path(folder, 0).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def clips() -> list[AlignedClip]:
    drawn = [drawn_clip(f"said-{n}", frames=12) for n in range(4)]
    drawn += [drawn_clip("still", frames=4, heard=False, source="stills"), drawn_clip("kept", frames=9, split="val")]
    masks = np.random.default_rng(5).integers(0, 256, (12, 32, 32)).astype(np.uint8)
    drawn[1] = drawn[1]._replace(truth=True, confidence=masks)
    return [aligned(clip) for clip in drawn]


@pytest.fixture(scope="module")
def shards(clips: list[AlignedClip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("data") / "set", clips)


@pytest.fixture(scope="module")
def corpus(shards: Path) -> ShardCorpus:
    return ShardCorpus([shards], "train", SIDE)


def assert_same(a: Batch, b: Batch):
    for one, other in zip(a, b, strict=True):
        assert torch.equal(one, other)


def test_shards_and_their_packs_give_the_same_batches(clips: list[AlignedClip], corpus: ShardCorpus, tmp_path: Path):
    write_shards(tmp_path / "shards", clips)
    packed = PackCorpus.load(
        pack(PackOptions(shards=(tmp_path / "shards",), out=tmp_path / "p", frame_px=SIDE)), "train"
    )
    for number in range(4):
        a = corpus.batch(np.random.default_rng([7, number]), 4, 3)
        b = packed.batch(np.random.default_rng([7, number]), 4, 3)
        for name in ("heard", "speaker", "truth", "pose", "confidence"):
            assert torch.equal(getattr(a, name), getattr(b, name)), name
        for name, most in (("target_mesh", 2e-3), ("identity_mesh", 2e-3), ("lips", 0.02), ("speech", 1e-3)):
            torch.testing.assert_close(getattr(a, name), getattr(b, name), atol=most, rtol=0)
        assert float((a.target - b.target).abs().mean()) < 0.05
        assert float((a.identity - b.identity).abs().mean()) < 0.05
        assert torch.equal(a.confidence.amin(dim=(1, 2, 3)) < 1, a.truth > 0), "only one clip has masks"
    assert packed.speakers == corpus.speakers


def test_opened_clips_are_those_that_were_written(clips: list[AlignedClip], corpus: ShardCorpus):
    opened = corpus.open_clip(2)
    wanted = clips[2]
    np.testing.assert_allclose(opened.mesh[:, :, :2] * SIDE - 0.5, wanted.mesh[:, :, :2], atol=2e-3)
    np.testing.assert_array_equal(opened.lips, wanted.lips)
    assert wanted.waveform is not None
    mel = padded_mel(wanted.waveform, 12, MelSpec())
    np.testing.assert_allclose(opened.windows([3, 11]), mel_windows(mel)[[3, 11]], atol=1e-3)


def test_faces_are_resampled_to_the_given_size(shards: Path):
    batch = ShardCorpus([shards], "train", 32).batch(np.random.default_rng(0), 2, 2)
    assert batch.target.shape == (4, 3, 32, 32)


def test_sets_are_mixed_by_weight(shards: Path, tmp_path: Path):
    others = [drawn_clip(f"other-{n}", frames=3, source="more") for n in range(3)]
    more = write_shards(tmp_path / "more", [aligned(clip) for clip in others])
    only = ShardCorpus([shards, more], "train", SIDE, {"drawn": 0.0, "stills": 0.0})
    assert len(only.entries) == 8
    speakers = {only.speakers[int(k)] for n in range(5) for k in only.batch(np.random.default_rng(n), 4, 1).speaker}
    assert speakers == {"other-0", "other-1", "other-2"}


def test_batches_depend_on_the_seed_only(corpus: ShardCorpus):
    one, same, other = (corpus.batch(np.random.default_rng([3, step]), 2, 2) for step in (1, 1, 2))
    assert_same(one, same)
    assert not torch.equal(one.target, other.target)


def test_threads_may_draw_from_one_corpus(corpus: ShardCorpus):
    seeds = [[3, step] for step in range(6)]
    with ThreadPoolExecutor(3) as pool:
        drawn = list(pool.map(lambda seed: corpus.batch(np.random.default_rng(seed), 2, 2), seeds))
    for seed, batch in zip(seeds, drawn, strict=True):
        assert_same(batch, corpus.batch(np.random.default_rng(seed), 2, 2))


def test_heard_only_leaves_silent_clips_out(corpus: ShardCorpus):
    assert float(corpus.batch(np.random.default_rng(0), 9, 2, heard_only=True).heard.min()) == 1


def test_memory_does_not_grow_with_the_data(tmp_path: Path):
    """Opening 20 MB of shards holds less than 1 MB of memory."""
    clip = aligned(drawn_clip("a", frames=30))
    mesh = np.tile(clip.mesh, (100, 1, 1))
    big = clip._replace(mesh=mesh, pose=np.zeros((3000, 12), np.float32), lips=lips_shape(mesh))
    big = big._replace(film=encode_pictures(np.zeros((3000, 16, 16, 3), np.uint8)), waveform=None, side_px=16)
    folder = write_shards(tmp_path / "set", [big._replace(key=f"k{n}") for n in range(2)])
    assert (folder / "shard-00000-0.tar").stat().st_size > 15e6
    tracemalloc.start()
    corpus = ShardCorpus([folder], "train", 16)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1e6
    assert corpus.batch(np.random.default_rng(0), 1, 1).target.shape == (1, 3, 16, 16)


def test_missing_data_is_one_line(shards: Path, tmp_path: Path):
    with pytest.raises(DataError, match="no ledger in .*; give a folder that `pcavs prepare` wrote"):
        ShardCorpus([tmp_path], "train", SIDE)
    with pytest.raises(DataError, match="the data has no clip of this split"):
        ShardCorpus([shards], "test", SIDE)
    ledger_path(tmp_path, 0).write_text(ledger_path(shards, 0).read_text())
    with pytest.raises(DataError, match=r"cannot read .*shard-00000-0.tar"):
        ShardCorpus([tmp_path], "train", SIDE).open_clip(0)
    ledger_path(tmp_path, 0).write_text("{")
    with pytest.raises(DataError, match="is damaged") as caught:
        ShardCorpus([tmp_path], "train", SIDE)
    assert "\n" not in str(caught.value)


def test_a_damaged_shard_is_one_line(shards: Path, tmp_path: Path):
    ledger_path(tmp_path, 0).write_text(ledger_path(shards, 0).read_text())
    data = (shards / "shard-00000-0.tar").read_bytes()
    (tmp_path / "shard-00000-0.tar").write_bytes(data[: len(data) // 8])
    with pytest.raises(DataError, match="has no whole clip at") as caught:
        ShardCorpus([tmp_path], "train", SIDE).batch(np.random.default_rng([0, 1]), 4, 1)
    assert "\n" not in str(caught.value)
