"""Shards give back the aligned clips that were put in, and are refused when they are not whole."""

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from webdataset.writer import TarWriter

from pcavs.data.shard import AlignedClip, decode_picture, encode_picture, read_shard, sample_of
from pcavs.errors import DataError


def clip(key: str, frames: int = 3, seconds: float | None = 0.2) -> AlignedClip:
    rng = np.random.default_rng(list(key.encode()))
    waveform = None if seconds is None else rng.uniform(-1, 1, round(16000 * seconds)).astype(np.float32)
    return AlignedClip(
        key=key,
        facts={"speaker": "ann", "source": "noise", "split": "train", "licence": "CC0", "turned": False},
        jpegs=[encode_picture(rng.integers(0, 255, (16, 16, 3), np.uint8)) for _ in range(frames)],
        mesh=rng.normal(0, 1, (frames, 478, 3)).astype(np.float32),
        waveform=waveform,
        side_px=16,
    )


def write_shard(path: Path, clips: list[AlignedClip]) -> Path:
    with TarWriter(str(path), mtime=0) as tar:
        for each in clips:
            tar.write(sample_of(each))
    return path


def test_clips_come_back_as_they_were(tmp_path: Path):
    clips = [clip("a"), clip("silent_1", 1, None), clip("b-2", 5)]
    for before, after in zip(clips, read_shard(write_shard(tmp_path / "s.tar", clips)), strict=True):
        assert (after.key, after.facts, after.jpegs, after.side_px) == (before.key, before.facts, before.jpegs, 16)
        np.testing.assert_array_equal(after.mesh, before.mesh, strict=True)
        assert (after.waveform is None) == (before.waveform is None)
        if after.waveform is not None:
            np.testing.assert_allclose(after.waveform, before.waveform, atol=1 / 32767)


def test_a_loud_waveform_is_clipped_and_not_wrapped(tmp_path: Path):
    loud = clip("a")._replace(waveform=np.array([1.5, -1.5, 1.0, -1.0], np.float32))
    (back,) = read_shard(write_shard(tmp_path / "s.tar", [loud]))
    np.testing.assert_allclose(back.waveform, [1, -1, 1, -1], atol=1e-4)


def test_an_empty_shard_has_no_clips(tmp_path: Path):
    assert list(read_shard(write_shard(tmp_path / "s.tar", []))) == []


def test_equal_clips_make_equal_bytes(tmp_path: Path):
    paths = [write_shard(tmp_path / name, [clip("a")]) for name in ("s.tar", "t.tar")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_picture_keeps_its_colours_in_order():
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[...] = (200, 60, 20)
    np.testing.assert_allclose(decode_picture(encode_picture(picture)), picture, atol=3)


def test_red_lips_keep_their_edge():
    """Without colour subsampling: a red line of one pixel on grey stays red."""
    picture = np.full((32, 32, 3), 120, np.uint8)
    picture[16] = (200, 80, 80)
    back = decode_picture(encode_picture(picture)).astype(int)
    assert (back[16, :, 0] - back[16, :, 1]).min() > 80
    halved = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], cv2.IMREAD_COLOR)
    assert (halved[16].astype(int)[:, 0] - halved[16].astype(int)[:, 1]).min() < 80


@pytest.mark.parametrize("data", [b"", b"no picture at all", b"\xff\xd8\xff"])
def test_bytes_that_are_no_picture_are_refused(data: bytes):
    with pytest.raises(DataError, match=r"a stored face of \d+ bytes is no JPEG") as caught:
        decode_picture(data)
    assert "\n" not in str(caught.value)


def test_a_shard_cut_anywhere_is_refused(tmp_path: Path):
    """Also between two files, where a tar reads like a shorter one."""
    path = write_shard(tmp_path / "s.tar", [clip("a"), clip("b")])
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
    sample = sample_of(clip("a"))
    whole = {f"a.{name}": data for name, data in sample.items() if name != "__key__"}
    other_tar(tmp_path / "npz.tar", whole | {"a.npz": b"PK\x03\x04 no zip"})
    other_tar(tmp_path / "wav.tar", whole | {"a.wav": b"RIFF no sound"})
    other_tar(tmp_path / "json.tar", whole | {"a.json": b"{"})
    other_tar(tmp_path / "facts.tar", whole | {"a.json": json.dumps({"side_px": 16}).encode()})
    assert len(list(read_shard(other_tar(tmp_path / "whole", whole)))) == 1
    for path in [*sorted(tmp_path.glob("*.tar")), tmp_path / "none.tar"]:
        with pytest.raises(DataError, match="is not a whole shard.*run `pcavs prepare` again") as caught:
            list(read_shard(path))
        assert "\n" not in str(caught.value), path.name
