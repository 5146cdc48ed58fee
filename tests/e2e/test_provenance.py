"""What films say about themselves: the visible label in frames and files of every kind."""

import numpy as np
import pytest

from pcavs.media.video import read_frames


@pytest.mark.parametrize("full_frame", [False, True])
def test_every_frame_carries_the_label(loud_mouth, face, make_wav, full_frame):
    settings = {} if full_frame else {"size": 256}
    plain, labelled = (
        loud_mouth.animate(face, make_wav(0.2), full_frame=full_frame, no_blinks=True, label=label, **settings)
        for label in (None, "AI-generated")
    )
    assert labelled.label is not None
    pairs = list(zip(plain.frames, labelled.frames, strict=True))
    assert len(pairs) == 5
    for before, after in pairs:
        assert (labelled.label.blend(before) == after).all()
        assert (before != after).any()


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_animations_show_the_label(loud_mouth, face, make_wav, tmp_path, ending):
    film = loud_mouth.animate(face, make_wav(0.2), size=256, label="AI-generated")
    path = film.save(tmp_path / f"film.{ending}")
    for frame in read_frames(path):
        box = frame[film.label.top :, film.label.left :][: len(film.label.kept), : film.label.kept.shape[1]]
        assert (box.min(axis=2) > 200).mean() > 0.03
        assert np.median(box) < 110
