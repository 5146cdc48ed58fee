"""Batches: a function of seed and step, ordered clip by clip, in the documented units."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from helpers.drawn import drawn_clip
from pcavs.data.corpus import Batch, consecutive
from pcavs.data.pack import PackedClip, write_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.errors import DataError
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.spec import MelSpec


@pytest.fixture(scope="module")
def corpus(drawn_packs: Path) -> PackCorpus:
    return PackCorpus.load(sorted(drawn_packs.iterdir()), "train")


def step(number: int) -> np.random.Generator:
    return np.random.default_rng([7, number])


def flat_clip(key: str, grey: int, **facts: object) -> PackedClip:
    """A clip whose frame k is uniform and 10 k brighter than the first; its labels are functions of k too."""
    frames = int(facts.pop("frames", 6))
    pictures = [np.full((8, 8, 3), grey + 10 * k, np.uint8) for k in range(frames)]
    mesh = np.tile(np.linspace(0.2, 0.8, frames)[:, None, None], (1, 478, 3)).astype(np.float16)
    heard = bool(facts.pop("heard", True))
    return PackedClip(
        key=key,
        speaker=str(facts.get("speaker", key)),
        source=str(facts.get("source", "flat")),
        split="train",
        jpegs=[cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures],
        mesh=mesh,
        lips=np.tile(np.arange(frames)[:, None], (1, 80)).astype(np.float16),
        pose=np.tile(np.arange(frames)[:, None], (1, 12)).astype(np.float32),
        mel=np.full((80, 4 * frames + 16), 0.5, np.float16) if heard else None,
    )


def test_a_batch_depends_on_seed_and_step_only(corpus: PackCorpus):
    first, again, other = (corpus.batch(step(n), 3, 2) for n in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.target, other.target)


def test_a_batch_has_the_documented_shapes_and_ranges(corpus: PackCorpus):
    batch = corpus.batch(step(0), 5, 3)
    assert batch.identity.shape == (5, 3, 64, 64)
    assert batch.target.shape == (15, 3, 64, 64)
    assert batch.speech.shape == (15, 1, 80, 20)
    assert (batch.lips.shape, batch.pose.shape, batch.heard.shape) == ((15, 80), (15, 12), (15,))
    assert (batch.speaker.shape, batch.truth.shape) == ((5,), (15,))
    assert batch.speaker.dtype == torch.int64
    assert {tensor.dtype for tensor in batch if tensor is not batch.speaker} == {torch.float32}
    for faces in (batch.identity, batch.target):
        assert -1 <= faces.min() < -0.5
        assert 0.5 < faces.max() <= 1


def test_targets_are_ordered_clip_by_clip():
    corpus = PackCorpus([flat_clip("dark", 20), flat_clip("bright", 180)], 8)
    batch = corpus.batch(step(3), 6, 2)
    shade = (batch.target.mean(dim=(1, 2, 3)) > 0).unflatten(0, (6, 2))
    assert torch.equal(shade[:, 0], shade[:, 1])
    assert torch.equal(shade[:, 0], batch.identity.mean(dim=(1, 2, 3)) > 0)
    assert shade[:, 0].float().std() > 0


def test_all_labels_belong_to_the_frame():
    corpus = PackCorpus([flat_clip("a", 20)], 8)
    batch = corpus.batch(step(0), 4, 3)
    frame = ((batch.target.mean(dim=(1, 2, 3)) + 1) * 127.5 - 20) / 10
    torch.testing.assert_close(batch.pose[:, 0], frame.round(), atol=0.01, rtol=0)
    torch.testing.assert_close(batch.lips[:, 0], frame.round() - 2.5, atol=0.01, rtol=0)
    mesh = torch.linspace(0.2, 0.8, 6)[frame.round().long()] * 2 - 1
    torch.testing.assert_close(batch.target_mesh[:, 0, 0], mesh, atol=2e-3, rtol=0)


def test_targets_of_a_clip_are_different_moments():
    batch = PackCorpus([flat_clip("a", 20)], 8).batch(step(1), 8, 6)
    assert torch.equal(batch.pose[:, 0].unflatten(0, (8, 6)), torch.arange(6.0).expand(8, 6))


def test_moments_beyond_a_clips_length_repeat():
    batch = PackCorpus([flat_clip("a", 20, frames=2)], 8).batch(step(1), 2, 5)
    assert batch.target.shape[0] == 10


def test_joined_targets_follow_each_other():
    """Clips of six frames: two moments of two frames each, ordered in time, none beyond the end."""
    batch = PackCorpus([flat_clip("a", 20)], 8).batch(step(1), 8, 2, joined=2)
    frames = batch.pose[:, 0].unflatten(0, (8, 2, 2))
    assert torch.equal(frames[:, :, 1], frames[:, :, 0] + 1)
    assert int(frames.max()) == 5
    assert len(set(frames[:, :, 0].flatten().tolist())) > 2
    assert batch.speech.shape[0] == batch.heard.shape[0] == batch.truth.shape[0] == 32


def test_joined_targets_of_a_short_clip_repeat_its_last():
    assert consecutive([0, 1], 3, 2) == [0, 1, 1, 0, 1, 1]
    assert consecutive([0, 4], 3, 5) == [0, 1, 2, 2, 3, 4]


def test_meshes_span_minus_one_to_one_by_half_pixels():
    """The landmark on the centre of pixel (x, y) is where `grid_sample` reads exactly that pixel."""
    side, (x, y) = 8, (5, 2)
    clip = flat_clip("a", 20, frames=1)
    mesh = clip.mesh.copy()
    mesh[:, :, 0], mesh[:, :, 1] = (x + 0.5) / side, (y + 0.5) / side
    batch = PackCorpus([clip._replace(mesh=mesh)], side).batch(step(0), 1, 1)
    picture = torch.arange(side * side, dtype=torch.float32).reshape(1, 1, side, side)
    read = torch.nn.functional.grid_sample(picture, batch.target_mesh[:, None, :1], align_corners=False)
    assert float(read) == pytest.approx(float(picture[0, 0, y, x]), abs=1e-3)


def test_windows_of_a_packed_clip_are_those_of_its_mel(tmp_path: Path):
    rng = np.random.default_rng(0)
    clips = [drawn_clip("still", frames=2, heard=False)]
    mels = {}
    for key, frames in (("a", 3), ("b", 5)):
        mel = padded_mel(rng.normal(0, 0.1, frames * 640).astype(np.float32), frames, MelSpec())
        mels[key] = mel.astype(np.float16).astype(np.float32)
        clips.append(drawn_clip(key, frames=frames)._replace(mel=mel.astype(np.float16)))
    corpus = PackCorpus.load(write_packs(clips, tmp_path, frame_px=64), "train")
    for index, clip in enumerate(corpus.clips):
        if clip.mel is not None:
            frames = range(len(clip.jpegs))
            np.testing.assert_array_equal(corpus.windows(index, frames), mel_windows(mels[clip.key]), strict=True)


def test_silent_clips_have_zero_windows_and_are_marked():
    corpus = PackCorpus([flat_clip("said", 20), flat_clip("still", 180, heard=False)], 8)
    batch = corpus.batch(step(0), 12, 2)
    bright = batch.target.mean(dim=(1, 2, 3)) > 0
    assert torch.equal(batch.heard, (~bright).float())
    assert 0 < batch.heard.mean() < 1
    assert float(batch.speech[bright].abs().max()) == 0
    assert float(batch.speech[~bright].min()) == 0.5


def test_speakers_are_numbered_in_the_order_of_their_names():
    corpus = PackCorpus([flat_clip("b-1", 180, speaker="bob"), flat_clip("a-1", 20, speaker="ann")], 8)
    assert corpus.speakers == ("ann", "bob")
    batch = corpus.batch(step(0), 12, 1)
    bright = batch.identity.mean(dim=(1, 2, 3)) > 0
    assert torch.equal(batch.speaker, bright.long())
    assert 0 < batch.speaker.float().mean() < 1


def test_exact_poses_are_marked():
    corpus = PackCorpus([flat_clip("fitted", 20), flat_clip("told", 180)._replace(truth=True)], 8)
    batch = corpus.batch(step(0), 12, 2)
    assert torch.equal(batch.truth, (batch.target.mean(dim=(1, 2, 3)) > 0).float())
    assert 0 < batch.truth.mean() < 1


def test_heard_only_leaves_silent_clips_out():
    corpus = PackCorpus([flat_clip("said", 20), *(flat_clip(f"still-{n}", 180, heard=False) for n in range(9))], 8)
    assert corpus.num_heard == 1
    assert float(corpus.batch(step(0), 9, 2, heard_only=True).heard.min()) == 1


def test_data_without_speech_is_refused_in_one_line():
    corpus = PackCorpus([flat_clip("still", 180, heard=False)], 8)
    with pytest.raises(DataError, match="needs clips with speech, and none can be drawn") as caught:
        corpus.batch(step(0), 1, 2, heard_only=True)
    assert "\n" not in str(caught.value)


def drawn_shades(corpus: PackCorpus) -> Counter[int]:
    batches: list[Batch] = [corpus.batch(step(n), 10, 1) for n in range(30)]
    shades = torch.cat([(batch.identity.mean(dim=(1, 2, 3)) + 1) * 127.5 for batch in batches])
    return Counter(int(shade) // 60 for shade in shades)


def test_sources_are_drawn_by_their_weights():
    clips = [flat_clip(f"few-{n}", 0, source="few", frames=1) for n in range(2)]
    clips += [flat_clip(f"many-{n}", 200, source="many", frames=1) for n in range(20)]
    equal = drawn_shades(PackCorpus(clips, 8))
    assert 110 < equal[0] < 190
    thrice = drawn_shades(PackCorpus(clips, 8, {"few": 3.0}))
    assert 195 < thrice[0] < 255
    assert drawn_shades(PackCorpus(clips, 8, {"few": 0.0}))[0] == 0


def test_a_speaker_of_many_clips_does_not_crowd_out_the_others():
    """By the root of his clips: 100 to 4 gives 10 to 2, not 25 to 1."""
    clips = [flat_clip(f"a-{n}", 0, speaker="a", frames=1) for n in range(100)]
    clips += [flat_clip(f"b-{n}", 200, speaker="b", frames=1) for n in range(4)]
    assert 0.1 < drawn_shades(PackCorpus(clips, 8))[3] / 300 < 0.24


def test_far_frames_are_likelier_targets():
    clip = flat_clip("a", 20, frames=9)
    mesh = clip.mesh.copy()
    mesh[:8] = mesh[0]
    corpus = PackCorpus([clip._replace(mesh=mesh)], 8)
    drawn = torch.cat([corpus.batch(step(n), 8, 1).pose[:, 0] for n in range(30)])
    assert float((drawn == 8).float().mean()) > 0.25


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"renders": 2.0}, "no clips of source renders; this data holds flat"),
        ({"flat": 0.0}, "none may be negative, and one must be above zero"),
        ({"flat": -1.0}, "none may be negative, and one must be above zero"),
    ],
)
def test_weights_that_fit_nothing_are_refused(weights: dict[str, float], message: str):
    with pytest.raises(DataError, match=message):
        PackCorpus([flat_clip("a", 20)], 8, weights)


def test_a_split_without_clips_is_refused(drawn_packs: Path):
    with pytest.raises(DataError, match="the data has no clip of this split"):
        PackCorpus.load(sorted(drawn_packs.iterdir()), "test")


def test_packs_of_two_sizes_are_refused(tmp_path: Path):
    for side in (64, 32):
        write_packs([drawn_clip("a", frames=1, side_px=side)], tmp_path / str(side), frame_px=side)
    paths = [tmp_path / "64" / "pack-000.safetensors", tmp_path / "32" / "pack-000.safetensors"]
    with pytest.raises(DataError, match=r"faces of different sizes: \[32, 64\] px; pack all with one --frame-px"):
        PackCorpus.load(paths, "train")


def test_lips_of_another_version_are_refused():
    other = flat_clip("b", 20)
    with pytest.raises(DataError, match="lip shapes of different lengths"):
        PackCorpus([flat_clip("a", 20), other._replace(lips=other.lips[:, :40])], 8)


def test_splits_are_kept_apart(drawn_packs: Path):
    keys = {
        split: {c.key for c in PackCorpus.load(sorted(drawn_packs.iterdir()), split).clips}
        for split in ("train", "val")
    }
    assert keys["val"] == {"kept-0", "kept-1"}
    assert not keys["train"] & keys["val"]
