"""Tracks without pixels: speech and the lip shapes that a head would show with it, without drawing the head.

A clip is drawn as for rendering (`pcavs.synth.script`); a lip map (`pcavs.synth.lip_maps`) then gives the lip shapes.
An hour of tracks takes a few minutes. Files hold many clips, one after the other.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float32

from pcavs.data.pack import PackedClip
from pcavs.data.states import clip_states
from pcavs.errors import InputError
from pcavs.media.archive import ARCHIVE_ERRORS
from pcavs.media.files import atomic_file
from pcavs.media.timeline import count_frames
from pcavs.runtime.base import Features
from pcavs.spec import MESH_POINTS, POSE_DIM
from pcavs.synth.acoustics import simulate_recording
from pcavs.synth.lip_maps import LipMaps, script_morphs
from pcavs.synth.script import ClipScript
from pcavs.synth.speech import Utterance, change_speed
from pcavs.synth.voices import ClipSpeech
from pcavs.types import Waveform
from pcavs.voices.phonemes import Phoneme

SOURCE: Final = "tracks"
"""Source of the clips in packs."""

_FULL_SCALE: Final = 32767

_BLENDED_SHARE, _BLEND = 0.5, (0.2, 0.8)
"""Share of the clips whose lips are a mixture of two heads', and range of the second head's fraction."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Track:
    """One clip without pictures."""

    waveform: Waveform
    lips: Float32[np.ndarray, "time 80"]
    """As `pcavs.face.regions.lips_shape`; row k shows the instant k/25 s."""
    facts: dict[str, Any]
    """Who speaks what with whose lips, and the phonemes with their times."""


def draw_track(script: ClipScript, maps: LipMaps, held_out: bool, random: np.random.Generator) -> Track:
    """Computes the lips of a random head, or of a mixture of two, for a script.

    Args:
        script: The clip.
        maps: Lip maps of all heads.
        held_out: Draws from the validation heads; else from the others.
        random: Draws the heads.
    """
    usable = [number for number, flag in enumerate(maps.held_out) if flag == held_out]
    heads = [usable[int(number)] for number in random.choice(len(usable), 2, replace=False)]
    share = float(random.uniform(*_BLEND)) if random.random() < _BLENDED_SHARE else 0.0
    morphs = script_morphs(script)
    first, second = (maps.lips(head, morphs) for head in heads)
    names = [maps.heads[head] for head in (heads if share else heads[:1])]
    facts = {
        "kind": script.speech.kind,
        "voice": script.speech.voice,
        "language": script.speech.language,
        "text": script.speech.text,
        "head": "+".join(names),
        "blend": round(share, 3),
        "split": "val" if held_out else "train",
        "phonemes": [[p.ipa, round(p.start_s, 4), round(p.end_s, 4)] for p in script.phonemes],
    }
    return Track(waveform=script.waveform, lips=first * (1 - share) + second * share, facts=facts)


def varied(track: Track, factor: float, random: np.random.Generator) -> Track:
    """Plays a recorded clip faster (above 1) or slower, its lips too, and records it with another microphone and room.

    Pitch and formants change by the same factor, so that one speaker's lips are seen with several voices.

    Args:
        track: A clip of a real person.
        factor: Factor on speed and pitch.
        random: Draws microphone, room and noise.
    """
    spoken = change_speed(Utterance(waveform=track.waveform, phonemes=()), factor).waveform
    places = np.arange(count_frames(len(spoken))) * factor
    frames = np.arange(len(track.lips))
    lips = np.stack([np.interp(places, frames, numbers) for numbers in track.lips.T], axis=1)
    facts = track.facts | {"speed": round(factor, 3)}
    return Track(waveform=simulate_recording(spoken, random), lips=lips.astype(np.float32), facts=facts)


def packed(track: Track, key: str, split: str, features: Features) -> PackedClip:
    """Makes a clip of a pack: the states of the speech, and the lip shapes.

    Args:
        track: The clip.
        key: Its name, unique within a set.
        split: Split of the pack's clip.
        features: Computes the states.
    """
    return PackedClip(
        key=key,
        speaker=f"{track.facts['kind']} {track.facts['voice']} {track.facts['language']}",
        source=SOURCE,
        split=split,
        jpegs=[],
        mesh=np.zeros((0, MESH_POINTS, 3), np.float16),
        lips=track.lips.astype(np.float16),
        pose=np.zeros((0, POSE_DIM), np.float32),
        mel=None,
        states=clip_states(features, track.waveform, len(track.lips)),
    )


def write_tracks(tracks: Sequence[Track], path: Path) -> None:
    """Writes clips: 16-bit samples and 16-bit floats, end to end, with the index at which each clip ends."""
    with atomic_file(path) as part, part.open("wb") as file:
        np.savez(
            file,
            waveform=np.concatenate([_as_int16(track.waveform) for track in tracks]),
            waveform_ends=np.cumsum([len(track.waveform) for track in tracks]),
            lips=np.concatenate([track.lips for track in tracks]).astype(np.float16),
            lips_ends=np.cumsum([len(track.lips) for track in tracks]),
            facts=np.array(json.dumps([track.facts for track in tracks], ensure_ascii=False)),
        )


def read_tracks(path: Path) -> list[Track]:
    """Reads the clips of a file.

    Raises:
        InputError: The file is missing or does not hold tracks.
    """
    try:
        with np.load(path) as stored:
            sounds = np.split(stored["waveform"].astype(np.float32) / _FULL_SCALE, stored["waveform_ends"][:-1])
            shapes = np.split(stored["lips"].astype(np.float32), stored["lips_ends"][:-1])
            rows = zip(sounds, shapes, json.loads(str(stored["facts"])), strict=True)
    except (OSError, *ARCHIVE_ERRORS) as error:
        raise InputError(f"{path} does not hold tracks ({error}); write it with scripts/make_tracks.py") from error
    return [Track(waveform=sound, lips=lips, facts=facts) for sound, lips, facts in rows]


def save_speech(speech: ClipSpeech, path: Path) -> None:
    """Keeps an utterance, so that many clips can be cut from it."""
    phonemes = speech.utterance.phonemes
    with atomic_file(path) as part, part.open("wb") as file:
        np.savez(
            file,
            waveform=_as_int16(speech.utterance.waveform),
            ipa=np.array([phoneme.ipa for phoneme in phonemes]),
            start=np.array([phoneme.start_s for phoneme in phonemes]),
            end=np.array([phoneme.end_s for phoneme in phonemes]),
            facts=np.array([speech.kind, speech.voice, speech.language, speech.text]),
        )


def load_speech(path: Path) -> ClipSpeech:
    """Reads an utterance that `save_speech` wrote."""
    with np.load(path) as stored:
        rows = zip(stored["ipa"].tolist(), stored["start"].tolist(), stored["end"].tolist(), strict=True)
        phonemes = tuple(Phoneme(ipa=ipa, start_s=start_s, end_s=end_s) for ipa, start_s, end_s in rows)
        kind, voice, language, text = stored["facts"].tolist()
        utterance = Utterance(waveform=stored["waveform"].astype(np.float32) / _FULL_SCALE, phonemes=phonemes)
    return ClipSpeech(utterance=utterance, kind=kind, voice=voice, language=language, text=text)


def _as_int16(waveform: Waveform) -> np.ndarray:
    return np.round(np.clip(waveform, -1, 1) * _FULL_SCALE).astype(np.int16)
