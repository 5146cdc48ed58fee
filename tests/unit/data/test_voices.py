"""What changes a voice: the same for all windows of a clip, silence stays, what is said stays."""

import numpy as np
import torch

from pcavs.data.voices import (
    LONGEST_STRETCH,
    NARROWEST_MASK,
    VOICES,
    WIDEST_MASK,
    change_voice,
    in_rooms,
    masked,
)
from pcavs.media.mel import mel_centres, mel_spectrogram
from pcavs.spec import SAMPLE_RATE_HZ, MelSpec

MOMENTS = 4


def tone(hz: float) -> torch.Tensor:
    time = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    mel = mel_spectrogram((0.3 * np.sin(2 * np.pi * hz * time)).astype(np.float32), MelSpec())
    return torch.from_numpy(mel[None, None, :, 40:60].copy())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_clips_differ_and_windows_of_one_clip_do_not_but_for_grain():
    changed = change_voice(tone(440).repeat(3 * MOMENTS, 1, 1, 1), MOMENTS, seeded())
    clips = changed.unflatten(0, (3, MOMENTS))
    assert float((clips - clips[:, :1]).abs().mean()) < 0.04
    assert min(float((clips[a] - clips[b]).abs().mean()) for a, b in ((0, 1), (0, 2), (1, 2))) > 0.05


def test_a_tone_moves_by_the_stretch_and_no_farther():
    changed = change_voice(tone(1500).repeat(200, 1, 1, 1), 1, seeded(1))
    loudest = mel_centres(MelSpec())[changed.mean(dim=3)[:, 0].argmax(dim=1).numpy()]
    moved = np.log(loudest / 1500)
    # Of some clips the band is taken away in which the tone lies.
    assert np.quantile(np.abs(moved), 0.8) < LONGEST_STRETCH + 0.05
    assert moved.min() < -0.1
    assert moved.max() > 0.1


def test_silence_stays_silent_or_becomes_quiet_noise():
    changed = change_voice(torch.zeros(100, 1, 80, 20), 1, seeded(2))
    heard = changed.amax(dim=(1, 2, 3)) > 0.1
    assert 0.3 < float(heard.float().mean()) < 0.7
    assert float(changed[~heard].max()) == 0
    assert float(changed.max()) < 0.75


def test_one_seed_gives_one_voice_and_another_seed_another():
    mel = tone(300).repeat(2, 1, 1, 1)
    assert torch.equal(change_voice(mel, 1, seeded(5)), change_voice(mel, 1, seeded(5)))
    assert not torch.equal(change_voice(mel, 1, seeded(5)), change_voice(mel, 1, seeded(6)))


def test_changed_mel_stays_in_range_and_keeps_what_is_loud_over_time():
    mel = tone(700)
    mel[..., 10:] = 0
    changed = change_voice(mel.repeat(50, 1, 1, 1), 1, seeded(3))
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    loud, quiet = changed[..., :10].amax(dim=2), changed[..., 10:].amax(dim=2)
    assert bool((loud.mean(dim=2) > quiet.mean(dim=2)).all())


def test_rooms_ring_on_where_it_is_quieter_and_never_louder_than_the_sound():
    mel = torch.full((200, 1, 80, 20), 0.2)
    mel[..., :4] = 0.8
    rung = in_rooms(mel, 1, seeded(4))
    tails = rung[:, 0, 40, 4:]
    half = float((tails[:, 0] > 0.35).float().mean())
    assert 0.3 < half < 0.7, "half of the clips"
    assert torch.equal(tails, tails.cummin(dim=1).values), "they fade"
    assert float(rung.max()) < 0.83
    assert torch.equal(in_rooms(mel * 0, 1, seeded(4)), mel * 0), "silence does not ring"


def test_half_of_the_clips_lose_bands_the_same_in_all_their_windows():
    lost = masked(torch.full((60 * MOMENTS, 1, 80, 20), 0.5), MOMENTS, seeded(7)) == 0
    clips = lost.unflatten(0, (60, MOMENTS))
    assert bool((clips == clips[:, :1, :, :, :1]).all())
    count = clips[:, 0, 0, :, 0].sum(dim=1)
    assert 0.3 < float((count > 0).float().mean()) < 0.7
    assert int(count[count > 0].min()) >= NARROWEST_MASK
    assert int(count.max()) <= WIDEST_MASK + 30
    assert len(set(count.tolist())) > 8


def test_kept_voices_are_the_recorded_ones():
    mel = tone(200)
    assert VOICES["kept"](mel, 1, seeded()) is mel
