"""One clip: what is said, how the head moves, and the truth of every frame. Computes only; `run` does the writing."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from pcavs.media.timeline import count_frames, frame_time_s
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.synth.acoustics import recorded
from pcavs.synth.motion import Motion, random_motion, random_style
from pcavs.synth.render import HeadState
from pcavs.synth.speech import Phoneme, excerpt
from pcavs.synth.visemes import VISEMES, loudness, mouth_morphs, viseme_curves
from pcavs.synth.voices import Speech, VoiceFile, real_speech, synthetic_speech
from pcavs.types import Waveform


@dataclasses.dataclass(frozen=True, kw_only=True)
class Performance:
    """Everything a head does in one clip."""

    waveform: Waveform
    speech: Speech
    """Who speaks, and the whole of what the clip is an excerpt of."""
    phonemes: tuple[Phoneme, ...]
    visemes: Float32[np.ndarray, "time visemes"]
    effort: Float32[np.ndarray, " time"]
    """Factor on mouth openings from loudness and manner."""
    motion: Motion
    manner: dict[str, float]
    """Morphs held through the whole clip: a trace of a smile, a squint."""

    @property
    def num_frames(self) -> int:
        """Frames of the clip."""
        return len(self.visemes)

    def state(self, frame: int) -> HeadState:
        """The head at one frame; the mouth is that of the frame's own instant, k/25 s."""
        motion = self.motion
        yaw, pitch, roll = (float(angle) for angle in motion.angles_deg[frame])
        x, y, z = (float(shift) for shift in motion.shift_m[frame])
        gaze = (float(motion.gaze_deg[frame, 0]), float(motion.gaze_deg[frame, 1]))
        morphs = self.manner | mouth_morphs(self.visemes[frame], float(self.effort[frame]))
        morphs |= _lids(float(motion.blink[frame]), gaze[1]) | _brows(float(motion.brow[frame]))
        return HeadState(yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll, shift_m=(x, y, z), gaze_deg=gaze, morphs=morphs)

    def truth(self) -> dict[str, Any]:
        """What a file beside the clip says of it, one row a frame."""
        return {
            "speech": self.speech.kind,
            "language": self.speech.language,
            "voice": self.speech.voice,
            "text": self.speech.text,
            "phonemes": [[p.ipa, round(p.start_s, 4), round(p.end_s, 4)] for p in self.phonemes],
            "viseme_names": VISEMES,
            "visemes": _rows(self.visemes, 3),
            "effort": _rows(self.effort, 3),
            "yaw_pitch_roll_deg": _rows(self.motion.angles_deg, 2),
            "shift_m": _rows(self.motion.shift_m, 4),
            "gaze_deg": _rows(self.motion.gaze_deg, 2),
            "blink": _rows(self.motion.blink, 2),
            "brow": _rows(self.motion.brow, 2),
        }


def perform(
    seconds: float,
    held_out: bool,
    random: np.random.Generator,
    voices: Sequence[VoiceFile] = (),
    voices_share: float = 0.5,
    languages: Sequence[str] = (),
) -> Performance:
    """Invents a clip.

    Args:
        seconds: Its length.
        held_out: Speak with languages and voices that training clips never use.
        random: Decides everything.
        voices: Recordings and Piper voices, of which those of the split are used.
        voices_share: How many of the clips speak with one of them, 0 to 1; eSpeak NG speaks in the others.
        languages: Of eSpeak NG's speech; without, those that the split may use.

    Raises:
        InputError: eSpeak NG is not installed, or a recording cannot be used.
    """
    usable = [voice for voice in voices if voice.split == ("val" if held_out else "train")]
    real = random.random() < voices_share
    speech = real_speech(usable, seconds, random) if real and usable else synthetic_speech(held_out, random, languages)
    spare_s = max(len(speech.utterance.waveform) / SAMPLE_RATE_HZ - seconds, 0.0)
    # A quarter of the clips begin with shut lips: a talker must learn to open them.
    first_s = random.uniform(-1.2, -0.3) if random.random() < 0.25 else random.uniform(-0.3, spare_s)
    said = excerpt(speech.utterance, float(first_s), seconds)
    times_s = np.array([frame_time_s(frame) for frame in range(count_frames(len(said.waveform)))])
    loud = loudness(said.waveform, times_s)
    effort = random.uniform(0.8, 1.3) * (0.6 + 0.5 * loud)
    return Performance(
        waveform=recorded(said.waveform, random),
        speech=speech,
        phonemes=said.phonemes,
        visemes=viseme_curves(said.phonemes, times_s),
        effort=effort.astype(np.float32),
        motion=random_motion(len(times_s), random_style(random), loud, random),
        manner=_random_manner(random),
    )


def _random_manner(random: np.random.Generator) -> dict[str, float]:
    smile, lopsided = max(random.normal(0.05, 0.15), 0.0), random.normal(0, 0.04)
    squint = max(random.normal(0, 0.15), 0.0)
    return {
        "RsmileClose": float(max(smile + lopsided, 0)),
        "LsmileClose": float(max(smile - lopsided, 0)),
        "Rsquint": float(squint),
        "Lsquint": float(squint),
    }


def _lids(blink: float, gaze_pitch_deg: float) -> dict[str, float]:
    # Upper lids follow the eye downwards.
    shut = max(blink, min(max(-gaze_pitch_deg / 40, 0.0), 0.3))
    return {"ReyeClose": shut, "LeyeClose": shut}


def _brows(brow: float) -> dict[str, float]:
    up, down = max(brow, 0.0), max(-brow, 0.0)
    return {"RbrowUp": up, "LbrowUp": up, "RRbrowUp": up, "LLbrowUp": up, "RbrowDown": down, "LbrowDown": down}


def _rows(values: Float32[np.ndarray, "..."], digits: int) -> list[Any]:
    return np.round(values.astype(float), digits).tolist()
