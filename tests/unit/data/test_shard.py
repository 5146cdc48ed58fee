"""Shards return the clips that were written, ledgers their rows, and both are refused when they are damaged."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset

from pcavs.data.shard import FORMAT, AlignedClip, ShardWriter, Span, clip_files, read_clip, read_shard
from pcavs.errors import DataError
from pcavs.media.bitstream import decode_pictures, encode_pictures


def clip(key: str, frames: int = 3, seconds: float | None = 0.2) -> AlignedClip:
    rng = np.random.default_rng(list(key.encode()))
    waveform = None if seconds is None else rng.uniform(-1, 1, round(16000 * seconds)).astype(np.float32)
    return AlignedClip(
        key=key,
        facts={"speaker": "ann", "source": "noise", "split": "train", "licence": "CC0", "turned": False},
        film=encode_pictures(rng.integers(0, 255, (frames, 16, 16, 3), np.uint8)),
        mesh=rng.normal(0, 1, (frames, 478, 3)).astype(np.float32),
        pose=rng.normal(0, 1, (frames, 12)).astype(np.float32),
        lips=rng.normal(0, 1, (frames, 80)).astype(np.float32),
        transform=rng.normal(0, 1, (2, 3)),
        waveform=waveform,
        side_px=16,
    )


def write_shard(path: Path, clips: list[AlignedClip]) -> list[Span]:
    with ShardWriter(path) as shard:
        return [shard.write(each) for each in clips]


def assert_same(after: AlignedClip, before: AlignedClip):
    assert (after.key, after.facts, after.side_px) == (before.key, before.facts, 16)
    assert after.film.data == before.film.data
    np.testing.assert_allclose(after.mesh, before.mesh, atol=16 / 16384)
    for name in ("pose", "lips", "transform"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name), strict=True)
    assert (after.waveform is None) == (before.waveform is None)
    assert (after.confidence is None) == (before.confidence is None)
    if after.confidence is not None:
        np.testing.assert_array_equal(after.confidence, before.confidence, strict=True)
    if after.waveform is not None:
        np.testing.assert_allclose(after.waveform, before.waveform, atol=1 / 32767)


def test_clips_come_back_as_they_were(tmp_path: Path):
    clips = [clip("a"), clip("silent_1", 1, None), clip("b-2", 5), clip("long" * 60)]
    clips.append(clip("turned", 2)._replace(confidence=np.arange(2048, dtype=np.uint8).reshape(2, 32, 32)))
    write_shard(tmp_path / "s.tar", clips)
    for before, after in zip(clips, read_shard(tmp_path / "s.tar"), strict=True):
        assert_same(after, before)
        np.testing.assert_array_equal(decode_pictures(after.film), decode_pictures(before.film))


def test_a_clip_is_read_from_its_span(tmp_path: Path):
    clips = [clip("a"), clip("b", 7, None), clip("c")]
    spans = write_shard(tmp_path / "s.tar", clips)
    with (tmp_path / "s.tar").open("rb") as file:
        for span, before in reversed(list(zip(spans, clips, strict=True))):
            assert_same(read_clip(file, span), before)
        for wrong in (Span(spans[1].offset + 100, 2000), Span(10**9, 512), Span(spans[2].offset, 10**6)):
            with pytest.raises(DataError, match=r"has no whole clip at \d+ .*; prepare it again") as caught:
                read_clip(file, wrong)
            assert "\n" not in str(caught.value)


def test_a_copied_clip_is_the_same_bytes(tmp_path: Path):
    spans = write_shard(tmp_path / "s.tar", [clip("a"), clip("b")])
    with ShardWriter(tmp_path / "t.tar") as shard, (tmp_path / "s.tar").open("rb") as file:
        for span in spans:
            file.seek(span.offset)
            assert shard.copy(file.read(span.size)) == span
    assert (tmp_path / "t.tar").read_bytes() == (tmp_path / "s.tar").read_bytes()


def test_webdataset_reads_shards(tmp_path: Path):
    """The files of a clip are one sample of WebDataset, with the endings that docs/formats.md names."""
    clips = [clip("a"), clip("b", 2, None)]
    write_shard(tmp_path / "s.tar", clips)
    samples = list(webdataset.WebDataset(str(tmp_path / "s.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == ["a", "b"]
    assert {name for name in samples[0] if not name.startswith("_")} == {"h264", "json", "npz", "wav"}
    assert samples[1]["h264"] == clips[1].film.data


def test_a_failing_write_leaves_no_half_shard(tmp_path: Path):
    def write():
        with ShardWriter(tmp_path / "s.tar") as shard:
            shard.write(clip("a"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_loud_waveform_is_clipped(tmp_path: Path):
    write_shard(tmp_path / "s.tar", [clip("a")._replace(waveform=np.array([1.5, -1.5, 1.0, -1.0], np.float32))])
    (back,) = read_shard(tmp_path / "s.tar")
    np.testing.assert_allclose(back.waveform, [1, -1, 1, -1], atol=1e-4)


def test_an_empty_shard_has_no_clips(tmp_path: Path):
    write_shard(tmp_path / "s.tar", [])
    assert list(read_shard(tmp_path / "s.tar")) == []


def test_equal_clips_make_equal_bytes(tmp_path: Path):
    for name in ("s.tar", "t.tar"):
        write_shard(tmp_path / name, [clip("a"), clip("b")])
    assert (tmp_path / "s.tar").read_bytes() == (tmp_path / "t.tar").read_bytes()


def test_a_shard_cut_anywhere_is_refused(tmp_path: Path):
    """Also between two members, where the rest reads like a shorter tar."""
    path = tmp_path / "s.tar"
    write_shard(path, [clip("a"), clip("b")])
    data = path.read_bytes()
    with tarfile.open(path) as tar:
        starts = [member.offset for member in tar]
    for end in [0, 100, 512, *starts[1:], starts[3] + 700, len(data) // 2]:
        path.write_bytes(data[:end])
        with pytest.raises(DataError, match="is not a whole shard") as caught:
            list(read_shard(path))
        assert "\n" not in str(caught.value)


def other_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_foreign_files_are_refused(tmp_path: Path):
    (tmp_path / "text.tar").write_text("not a tar, but a text that is long enough to look like one" * 99)
    other_tar(tmp_path / "other.tar", {"a.txt": b"a file"})
    whole = {f"a.{name}": data for name, data in clip_files(clip("a")).items()}
    other_tar(tmp_path / "npz.tar", whole | {"a.npz": b"PK\x03\x04 no zip"})
    other_tar(tmp_path / "wav.tar", whole | {"a.wav": b"RIFF no sound"})
    other_tar(tmp_path / "json.tar", whole | {"a.json": b"{"})
    other_tar(tmp_path / "facts.tar", whole | {"a.json": json.dumps({"side_px": 16, "format": FORMAT}).encode()})
    assert len(list(read_shard(other_tar(tmp_path / "whole", whole)))) == 1
    for path in [*sorted(tmp_path.glob("*.tar")), tmp_path / "none.tar"]:
        with pytest.raises(DataError, match="is not a whole shard.*run `pcavs prepare` again") as caught:
            list(read_shard(path))
        assert "\n" not in str(caught.value), path.name


def test_a_shard_of_the_first_format_is_refused(tmp_path: Path):
    whole = {f"a.{name}": data for name, data in clip_files(clip("a")).items()}
    facts = json.loads(whole["a.json"])
    del facts["format"]
    other_tar(tmp_path / "s.tar", whole | {"a.json": json.dumps(facts).encode()})
    with pytest.raises(DataError, match="format pcavs-shard-1, pcavs-shard-2 is needed"):
        list(read_shard(tmp_path / "s.tar"))


def test_a_shard_with_arrays_of_an_unknown_compression_is_refused(tmp_path: Path):
    """`zipfile` raises `NotImplementedError`, found by the fuzzer."""
    path = tmp_path / "shard.tar"
    write_shard(path, [clip("a")])
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = data.find(signature)
        while place >= 0:
            data[place + offset] = 99
            place = data.find(signature, place + 4)
    path.write_bytes(data)
    with pytest.raises(DataError, match="is not a whole shard") as caught:
        list(read_shard(path))
    assert "\n" not in str(caught.value)
