"""`pcavs pack` turns shards into packs."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pcavs.data.pack import decode_picture, read_pack
from pcavs.data.pack_corpus import PackCorpus
from pcavs.data.shard import read_shard
from pcavs.errors import DataError
from pcavs.face.pose import pose_code
from pcavs.media.bitstream import decode_pictures
from pcavs.media.mel import padded_mel
from pcavs.prepare import packing
from pcavs.prepare import run as prepare
from pcavs.prepare.options import PackOptions, PrepareOptions
from pcavs.spec import MelSpec


@pytest.fixture(scope="module")
def shards(write_film, photo, tmp_path_factory) -> Path:
    source, out = tmp_path_factory.mktemp("films"), tmp_path_factory.mktemp("out")
    write_film(source / "talk.mp4")
    (source / "look.jpg").write_bytes(photo.read_bytes())
    index = source / "index.csv"
    index.write_text("path,identity,source\ntalk.mp4,ann,films\nlook.jpg,bob,photos\n")
    assert prepare.run(PrepareOptions(source=source, out=out, index=index, turned=3, workers=1)) == (2, 0)
    return out


def test_packs_hold_what_training_reads(shards: Path, tmp_path: Path):
    (path,) = packing.run(PackOptions(shards=(shards,), out=tmp_path, frame_px=64))
    corpus = PackCorpus.load([path], "train")
    aligned = {clip.key: clip for clip in read_shard(shards / "shard-00000-0.tar")}
    assert {clip.key for clip in corpus.clips} == set(aligned)
    for clip in corpus.clips:
        source = aligned[clip.key]
        np.testing.assert_allclose(clip.mesh[:, :, :2], (source.mesh[:, :, :2] + 0.5) / 256, atol=1e-3)
        np.testing.assert_allclose(clip.pose, pose_code(source.mesh, 256), atol=1e-3)
        face = decode_pictures(source.film, [1])[0]
        small = cv2.resize(face, (64, 64), interpolation=cv2.INTER_AREA)
        assert np.abs(decode_picture(clip.jpegs[1]).astype(int) - small).mean() < 4
        assert (clip.mel is None) == (source.waveform is None)
        if clip.mel is not None:
            mel = padded_mel(source.waveform, len(source.mesh), MelSpec())
            np.testing.assert_allclose(clip.mel, mel, atol=1e-3)


def test_every_keeps_one_clip_in_that_many(shards: Path, tmp_path: Path):
    options = PackOptions(shards=(shards / "shard-00000-0.tar",), out=tmp_path, frame_px=64, every=2)
    (path,) = packing.run(options)
    assert [clip.key for clip in read_pack(path)] == ["talk"]


def test_a_folder_without_shards_is_reported(tmp_path: Path):
    with pytest.raises(DataError, match="no shards in .*; `pcavs prepare` makes them"):
        packing.find_shards(tmp_path)
