"""Packs return the clips that were written, stay below their limit, and are refused when they are damaged."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from helpers.drawn import drawn_clip
from pcavs.data import pack as packs
from pcavs.data.pack import (
    FORMAT,
    PackedClip,
    decode_picture,
    encode_picture,
    find_packs,
    pack_features,
    pack_frame_px,
    read_pack,
    write_packs,
)
from pcavs.errors import DataError, OutputError
from pcavs.media import files
from pcavs.spec import MEL_BINS_PER_FRAME, STATES_PER_FRAME, FeatureSpec


def noise_clip(key: str, frames: int, bytes_a_frame: int = 2000, heard: bool = True) -> PackedClip:
    """A clip of random content; its JPEGs are random bytes, which packs do not decode."""
    rng = np.random.default_rng(list(key.encode()))
    return PackedClip(
        key=key,
        speaker=f"speaker of {key}",
        source="noise",
        split="train",
        jpegs=[rng.bytes(int(bytes_a_frame * rng.uniform(0.9, 1.1))) for _ in range(frames)],
        mesh=rng.random((frames, 478, 3)).astype(np.float16),
        lips=rng.random((frames, 80)).astype(np.float16),
        pose=rng.random((frames, 12)).astype(np.float32),
        mel=rng.random((80, frames * MEL_BINS_PER_FRAME + packs.MEL_PADDING_BINS)).astype(np.float16)
        if heard
        else None,
    )


def assert_same(a: PackedClip, b: PackedClip):
    assert (a.key, a.speaker, a.source, a.split, a.jpegs) == (b.key, b.speaker, b.source, b.split, b.jpegs)
    assert a.truth == b.truth
    for name in ("mesh", "lips", "pose"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), strict=True)
    assert (a.mel is None) == (b.mel is None)
    if a.mel is not None and b.mel is not None:
        np.testing.assert_array_equal(a.mel, b.mel, strict=True)
    assert (a.states is None) == (b.states is None)
    if a.states is not None and b.states is not None:
        np.testing.assert_array_equal(a.states, b.states, strict=True)
    assert (a.confidence is None) == (b.confidence is None)
    if a.confidence is not None and b.confidence is not None:
        np.testing.assert_array_equal(a.confidence, b.confidence, strict=True)


def with_states(clip: PackedClip) -> PackedClip:
    """Adds random states to a clip."""
    rng = np.random.default_rng(list(clip.key.encode()))
    count = (clip.num_frames + 2 * packs.STATE_MARGIN_FRAMES) * STATES_PER_FRAME
    return clip._replace(states=rng.random((count, 6)).astype(np.float16))


def track(key: str, frames: int) -> PackedClip:
    """A lip track: states and lip shapes, without pictures and mel."""
    clip = with_states(noise_clip(key, frames, heard=False))
    return clip._replace(jpegs=[], mesh=clip.mesh[:0], pose=clip.pose[:0])


def with_masks(clip: PackedClip) -> PackedClip:
    """Adds random confidence masks to a clip."""
    rng = np.random.default_rng(len(clip.jpegs))
    return clip._replace(confidence=rng.integers(0, 256, (len(clip.jpegs), 32, 32)).astype(np.uint8))


def test_clips_come_back_as_they_were(tmp_path: Path):
    clips = [noise_clip("a", 3), noise_clip("silent", 1, heard=False), noise_clip("b", 2)._replace(truth=True)]
    clips += [with_masks(noise_clip("turned", 4)), noise_clip("c", 1), with_masks(noise_clip("d", 2))]
    paths = write_packs(clips, tmp_path / "deep", frame_px=64)
    assert [path.name for path in paths] == ["pack-000.safetensors"]
    assert pack_frame_px(paths[0]) == 64
    for before, after in zip(clips, read_pack(paths[0]), strict=True):
        assert_same(before, after)


def test_packs_without_the_field_truth_are_read(tmp_path: Path):
    (path,) = write_packs([noise_clip("a", 2)._replace(truth=True)], tmp_path, frame_px=64)
    with safe_open(path, "np") as file:
        metadata = dict(file.metadata())
    rows = json.loads(metadata["clips"])
    assert rows[0].pop("truth") is True
    save_file(load_file(path), path, metadata=metadata | {"clips": json.dumps(rows)})
    assert next(read_pack(path)).truth is False


def test_packs_without_masks_are_read(tmp_path: Path):
    (path,) = write_packs([noise_clip("a", 2), noise_clip("b", 3)], tmp_path, frame_px=64)
    with safe_open(path, "np") as file:
        metadata = dict(file.metadata())
    rows = [{name: row[name] for name in row if name != "confidence"} for row in json.loads(metadata["clips"])]
    arrays = load_file(path)
    assert len(arrays.pop("confidence")) == 0
    save_file(arrays, path, metadata=metadata | {"clips": json.dumps(rows)})
    assert [clip.confidence for clip in read_pack(path)] == [None, None]


def test_pieces_of_a_clip_keep_their_masks(tmp_path: Path):
    clip = with_masks(noise_clip("long", 40, 4000))
    paths = write_packs([clip], tmp_path, frame_px=64, limit_bytes=90_000)
    assert len(paths) > 1
    masks = [piece.confidence for path in paths for piece in read_pack(path) if piece.confidence is not None]
    np.testing.assert_array_equal(np.concatenate(masks), clip.confidence)


def test_silent_clips_alone_make_a_pack(tmp_path: Path):
    (path,) = write_packs([noise_clip("still", 2, heard=False)], tmp_path, frame_px=64)
    assert next(read_pack(path)).mel is None


def test_packs_stay_under_the_limit_and_keep_the_order(tmp_path: Path):
    limit = 100_000
    clips = [noise_clip(f"clip-{n}", frames) for n, frames in enumerate([3, 8, 1, 12, 2, 2, 9, 5])]
    paths = write_packs(clips, tmp_path, frame_px=64, limit_bytes=limit)
    assert len(paths) > 1
    assert all(path.stat().st_size <= limit for path in paths)
    assert max(path.stat().st_size for path in paths) > limit / 2
    for before, after in zip(clips, (clip for path in paths for clip in read_pack(path)), strict=True):
        assert_same(before, after)


def test_a_clip_larger_than_a_pack_is_cut_and_its_pieces_keep_their_mel_windows(tmp_path: Path):
    limit, clip = 60_000, noise_clip("long", 40)
    paths = write_packs([clip], tmp_path, frame_px=64, limit_bytes=limit)
    assert all(path.stat().st_size <= limit for path in paths)
    pieces = [piece for path in paths for piece in read_pack(path)]
    assert [piece.key for piece in pieces] == [f"long-{n}" for n in range(len(pieces))]
    assert [jpeg for piece in pieces for jpeg in piece.jpegs] == clip.jpegs
    first = 0
    for piece in pieces:
        for frame in range(len(piece.jpegs)):
            window = piece.mel[:, 4 * frame : 4 * frame + 20]
            np.testing.assert_array_equal(window, clip.mel[:, 4 * (first + frame) : 4 * (first + frame) + 20])
        np.testing.assert_array_equal(piece.mesh, clip.mesh[first : first + len(piece.jpegs)])
        first += len(piece.jpegs)


def test_packs_of_an_earlier_call_are_deleted(tmp_path: Path):
    clips = [noise_clip(f"clip-{n}", 5) for n in range(6)]
    before = write_packs(clips, tmp_path, frame_px=64, limit_bytes=60_000)
    after = write_packs(clips[:1], tmp_path, frame_px=64)
    assert len(before) > len(after)
    assert find_packs([tmp_path]) == after


def test_a_failing_write_leaves_no_half_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full_disk(tensors: object, part: Path, **_: object):
        part.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "save_file", full_disk)
    with pytest.raises(OutputError, match=r"pack-000\.safetensors cannot be written \(No space left.*free some space"):
        write_packs([noise_clip("a", 2)], tmp_path, frame_px=64)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="packs.* cannot be written"):
        write_packs([noise_clip("a", 2)], tmp_path / "file" / "packs", frame_px=64)


def test_places_without_packs_are_named(tmp_path: Path):
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match=f"no packs in {place}; `pcavs pack` makes them"):
            find_packs([place])


def test_packs_are_found_in_folders_and_by_name(tmp_path: Path):
    paths = write_packs([noise_clip(f"clip-{n}", 5) for n in range(6)], tmp_path, frame_px=64, limit_bytes=60_000)
    assert find_packs([tmp_path]) == paths
    assert find_packs([paths[1], paths[0]]) == [paths[1], paths[0]]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.99])
def test_a_truncated_pack_is_refused(share: float, tmp_path: Path):
    (path,) = write_packs([noise_clip("a", 4)], tmp_path, frame_px=64)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    for read in (pack_frame_px, lambda path: list(read_pack(path))):
        with pytest.raises(DataError, match="is not a whole pack") as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metadata", [None, {"format": "pcavs-bundle-1"}, {"format": "pcavs-pack-99"}])
def test_another_format_is_refused(metadata: dict[str, str] | None, tmp_path: Path):
    path = tmp_path / "pack-000.safetensors"
    save_file({"x": np.zeros(3)}, path, metadata=metadata)
    with pytest.raises(DataError, match=f"has format .*, {FORMAT} is needed; make it again"):
        list(read_pack(path))


def test_a_text_file_is_refused(tmp_path: Path):
    (tmp_path / "pack-000.safetensors").write_text("not a pack, but a text that is long enough to look like one")
    with pytest.raises(DataError, match="is not a whole pack"):
        list(read_pack(tmp_path / "pack-000.safetensors"))


@pytest.mark.parametrize("name", ["jpeg_ends", "mesh", "lips", "pose", "mel"])
def test_arrays_that_do_not_fit_the_clips_are_refused(name: str, tmp_path: Path):
    """With one row too few, every later clip would get another clip's landmarks."""
    (path,) = write_packs([noise_clip("a", 4), noise_clip("b", 4)], tmp_path, frame_px=64)
    clips = packs._open(path).metadata()
    tensors = load_file(path)
    tensors[name] = np.ascontiguousarray(tensors[name][:, :-1] if name == "mel" else tensors[name][:-1])
    save_file(tensors, path, metadata=clips)
    with pytest.raises(DataError, match=rf"{name} has \d+ rows, its clips need \d+; make it again") as caught:
        list(read_pack(path))
    assert "\n" not in str(caught.value)


def test_a_missing_array_is_refused(tmp_path: Path):
    (path,) = write_packs([noise_clip("a", 4)], tmp_path, frame_px=64)
    metadata, tensors = packs._open(path).metadata(), load_file(path)
    del tensors["pose"]
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(DataError, match="is not a whole pack") as caught:
        list(read_pack(path))
    assert "\n" not in str(caught.value)


def test_drawn_clips_fit_the_format(tmp_path: Path):
    clip = drawn_clip("said", frames=3)
    (path,) = write_packs([clip], tmp_path, frame_px=64)
    assert_same(clip, next(read_pack(path)))


def test_a_picture_keeps_its_colours_in_order():
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[...] = (200, 60, 20)
    np.testing.assert_allclose(decode_picture(encode_picture(picture, quality=95)), picture, atol=3)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff"])
def test_bytes_that_are_not_a_jpeg_are_refused(data: bytes):
    with pytest.raises(DataError, match=r"a stored face of \d+ bytes is not a JPEG") as caught:
        decode_picture(data)
    assert "\n" not in str(caught.value)


def test_states_and_lip_tracks_come_back(tmp_path: Path):
    clips = [noise_clip("silent", 3, heard=False), with_states(noise_clip("a", 5)), track("b", 7), noise_clip("c", 4)]
    (path,) = write_packs(clips, tmp_path, frame_px=64, features=FeatureSpec(hop_frames=3))
    for read, written in zip(read_pack(path), clips, strict=True):
        assert_same(read, written)
        assert read.num_frames == written.num_frames
    assert pack_features(path) == FeatureSpec(hop_frames=3)


def test_a_pack_without_features_says_so(tmp_path: Path):
    (path,) = write_packs([noise_clip("a", 5)], tmp_path, frame_px=64)
    assert pack_features(path) is None


def test_pieces_of_a_clip_keep_the_states_around_their_frames(tmp_path: Path):
    clip = with_states(noise_clip("long", 40))
    paths = write_packs([clip], tmp_path, frame_px=64, limit_bytes=60_000, features=FeatureSpec())
    pieces = [piece for path in paths for piece in read_pack(path)]
    assert len(pieces) > 1
    first = 0
    for piece in pieces:
        count = (piece.num_frames + 2 * packs.STATE_MARGIN_FRAMES) * STATES_PER_FRAME
        np.testing.assert_array_equal(piece.states, clip.states[first * STATES_PER_FRAME :][:count])
        first += piece.num_frames
    assert first == 40
