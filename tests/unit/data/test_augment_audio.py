"""Audio augmentation: one draw for all windows of a clip; silence and the course over time stay."""

import numpy as np
import torch

from pcavs.data.augment_audio import (
    MAX_MASK_BANDS,
    MAX_STRETCH,
    MIN_MASK_BANDS,
    augment_audio,
    mask_bands,
    reverberate,
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


def test_clips_differ_and_windows_of_a_clip_differ_by_noise_only():
    changed = augment_audio(tone(440).repeat(3 * MOMENTS, 1, 1, 1), MOMENTS, seeded())
    clips = changed.unflatten(0, (3, MOMENTS))
    assert float((clips - clips[:, :1]).abs().mean()) < 0.04
    assert min(float((clips[a] - clips[b]).abs().mean()) for a, b in ((0, 1), (0, 2), (1, 2))) > 0.05


def test_a_tone_moves_by_the_stretch_at_most():
    changed = augment_audio(tone(1500).repeat(200, 1, 1, 1), 1, seeded(1))
    loudest = mel_centres(MelSpec())[changed.mean(dim=3)[:, 0].argmax(dim=1).numpy()]
    moved = np.log(loudest / 1500)
    # In some clips the tone's band is masked.
    assert np.quantile(np.abs(moved), 0.8) < MAX_STRETCH + 0.05
    assert moved.min() < -0.1
    assert moved.max() > 0.1


def test_silence_stays_silent_or_becomes_quiet_noise():
    changed = augment_audio(torch.zeros(100, 1, 80, 20), 1, seeded(2))
    heard = changed.amax(dim=(1, 2, 3)) > 0.1
    assert 0.3 < float(heard.float().mean()) < 0.7
    assert float(changed[~heard].max()) == 0
    assert float(changed.max()) < 0.75


def test_the_seed_decides():
    mel = tone(300).repeat(2, 1, 1, 1)
    assert torch.equal(augment_audio(mel, 1, seeded(5)), augment_audio(mel, 1, seeded(5)))
    assert not torch.equal(augment_audio(mel, 1, seeded(5)), augment_audio(mel, 1, seeded(6)))


def test_the_result_stays_in_range_and_loud_bins_stay_louder():
    mel = tone(700)
    mel[..., 10:] = 0
    changed = augment_audio(mel.repeat(50, 1, 1, 1), 1, seeded(3))
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    loud, quiet = changed[..., :10].amax(dim=2), changed[..., 10:].amax(dim=2)
    assert bool((loud.mean(dim=2) > quiet.mean(dim=2)).all())


def test_reverberation_decays_and_is_below_the_direct_sound():
    mel = torch.full((200, 1, 80, 20), 0.2)
    mel[..., :4] = 0.8
    rung = reverberate(mel, 1, seeded(4))
    tails = rung[:, 0, 40, 4:]
    half = float((tails[:, 0] > 0.35).float().mean())
    assert 0.3 < half < 0.7, "half of the clips"
    assert torch.equal(tails, tails.cummin(dim=1).values), "the tail decays"
    assert float(rung.max()) < 0.83
    assert torch.equal(reverberate(mel * 0, 1, seeded(4)), mel * 0), "silence has no tail"


def test_half_of_the_clips_lose_the_same_bands_in_all_windows():
    lost = mask_bands(torch.full((60 * MOMENTS, 1, 80, 20), 0.5), MOMENTS, seeded(7)) == 0
    clips = lost.unflatten(0, (60, MOMENTS))
    assert bool((clips == clips[:, :1, :, :, :1]).all())
    count = clips[:, 0, 0, :, 0].sum(dim=1)
    assert 0.3 < float((count > 0).float().mean()) < 0.7
    assert int(count[count > 0].min()) >= MIN_MASK_BANDS
    assert int(count.max()) <= MAX_MASK_BANDS + 30
    assert len(set(count.tolist())) > 8
