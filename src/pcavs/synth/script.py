"""Draws the script of a clip: what is said, how mouth, head and eyes move, and with it the truth of every frame."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Float32

from pcavs.media.timeline import count_frames, frame_time_s
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.synth.acoustics import simulate_recording
from pcavs.synth.motion import ScriptedMotion, random_motion, random_style
from pcavs.synth.render import HeadState
from pcavs.synth.speech import excerpt
from pcavs.synth.visemes import VISEMES, loudness, mouth_morphs, viseme_curves
from pcavs.synth.voices import ClipSpeech, VoiceRow, espeak_speech, table_speech
from pcavs.types import Waveform
from pcavs.voices.phonemes import Phoneme

_SILENT_START_SHARE: Final = 0.25
"""Share of the clips that begin with a pause: a talker must learn to open shut lips."""

_SILENT_START_S, _EARLIEST_START_S = (-1.2, -0.3), -0.3
"""Range of the excerpt's start in such clips, and its earliest start in the others; before 0 lies silence."""

_MANNER, _QUIET_EFFORT, _LOUD_EFFORT = (0.8, 1.3), 0.6, 0.5
"""Range of a speaker's factor on openings, the factor in silence, and its growth up to the loudest speech. Chosen by
eye."""

_SMILE_MEAN, _SMILE_SPREAD, _ASYMMETRY_SPREAD, _SQUINT_SPREAD = 0.05, 0.15, 0.04, 0.15
"""Mean and standard deviation of a clip's smile, and standard deviation of its asymmetry and of the squint, as morph
weights. Chosen by eye."""

_LID_DEG, _MAX_LID = 40, 0.3
"""Downward gaze in degrees that would shut the upper eyelids, which follow the eyes, and their largest closure from
gaze. Chosen by eye."""

_TIME_DIGITS, _WEIGHT_DIGITS, _ANGLE_DIGITS, _SHIFT_DIGITS, _FACE_DIGITS = 4, 3, 2, 4, 2
"""Decimals in the truth file: of seconds, viseme weights, degrees, metres, and of eyelids and brows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipScript:
    """Sound and motion of one clip."""

    waveform: Waveform
    speech: ClipSpeech
    """The voice, and the whole utterance of which the clip is an excerpt."""
    phonemes: tuple[Phoneme, ...]
    visemes: Float32[np.ndarray, "time visemes"]
    effort: Float32[np.ndarray, " time"]
    """Factor on mouth openings, from loudness and the speaker's manner."""
    motion: ScriptedMotion
    expression: dict[str, float]
    """Weights of morphs that are held through the clip: a slight smile, a squint."""

    @property
    def num_frames(self) -> int:
        """Number of frames of the clip."""
        return len(self.visemes)

    def state(self, frame: int) -> HeadState:
        """Returns the head at a frame; the mouth is that of the frame's own time, k/25 s."""
        motion = self.motion
        yaw, pitch, roll = (float(angle) for angle in motion.angles_deg[frame])
        x, y, z = (float(shift) for shift in motion.shift_m[frame])
        gaze = (float(motion.gaze_deg[frame, 0]), float(motion.gaze_deg[frame, 1]))
        morphs = self.expression | mouth_morphs(self.visemes[frame], float(self.effort[frame]))
        morphs |= _eyelid_morphs(float(motion.blink[frame]), gaze[1]) | _brow_morphs(float(motion.brow[frame]))
        return HeadState(yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll, shift_m=(x, y, z), gaze_deg=gaze, morphs=morphs)

    def truth(self) -> dict[str, Any]:
        """Returns what the truth file stores, one row per frame (docs/synth.md)."""
        phonemes = [[p.ipa, round(p.start_s, _TIME_DIGITS), round(p.end_s, _TIME_DIGITS)] for p in self.phonemes]
        return {
            "speech": self.speech.kind,
            "language": self.speech.language,
            "voice": self.speech.voice,
            "text": self.speech.text,
            "phonemes": phonemes,
            "viseme_names": VISEMES,
            "visemes": _rounded_rows(self.visemes, _WEIGHT_DIGITS),
            "effort": _rounded_rows(self.effort, _WEIGHT_DIGITS),
            "yaw_pitch_roll_deg": _rounded_rows(self.motion.angles_deg, _ANGLE_DIGITS),
            "shift_m": _rounded_rows(self.motion.shift_m, _SHIFT_DIGITS),
            "gaze_deg": _rounded_rows(self.motion.gaze_deg, _ANGLE_DIGITS),
            "blink": _rounded_rows(self.motion.blink, _FACE_DIGITS),
            "brow": _rounded_rows(self.motion.brow, _FACE_DIGITS),
        }


def random_script(
    seconds: float,
    held_out: bool,
    random: np.random.Generator,
    voices: Sequence[VoiceRow] = (),
    voices_share: float = 0.5,
    languages: Sequence[str] = (),
) -> ClipScript:
    """Draws the script of a clip.

    Args:
        seconds: Length of the clip.
        held_out: Makes a validation clip, with languages and voices that training clips never use.
        random: Draws everything.
        voices: Recordings and Piper voices; those of the clip's split are used.
        voices_share: Share of the clips that use one of them, 0 to 1; eSpeak NG speaks in the others.
        languages: Languages of eSpeak NG's speech; where it is empty, those of the clip's split.

    Raises:
        InputError: eSpeak NG is not installed, or no recording can be used.
    """
    usable = [voice for voice in voices if voice.split == ("val" if held_out else "train")]
    uses_table = random.random() < voices_share
    if uses_table and usable:
        speech = table_speech(usable, seconds, random)
    else:
        speech = espeak_speech(held_out, random, languages)
    return compose_script(speech, seconds, random)


def compose_script(speech: ClipSpeech, seconds: float, random: np.random.Generator) -> ClipScript:
    """Draws an excerpt of an utterance, how it was recorded, and the motion that goes with it.

    Args:
        speech: Voice and utterance; where it is shorter than the clip, silence follows.
        seconds: Length of the clip.
        random: Draws everything.
    """
    spare_s = max(len(speech.utterance.waveform) / SAMPLE_RATE_HZ - seconds, 0.0)
    if random.random() < _SILENT_START_SHARE:
        start_s = random.uniform(*_SILENT_START_S)
    else:
        start_s = random.uniform(_EARLIEST_START_S, spare_s)
    spoken = excerpt(speech.utterance, float(start_s), seconds)
    times_s = np.array([frame_time_s(frame) for frame in range(count_frames(len(spoken.waveform)))])
    loud = loudness(spoken.waveform, times_s)
    effort = random.uniform(*_MANNER) * (_QUIET_EFFORT + _LOUD_EFFORT * loud)
    return ClipScript(
        waveform=simulate_recording(spoken.waveform, random),
        speech=speech,
        phonemes=spoken.phonemes,
        visemes=viseme_curves(spoken.phonemes, times_s),
        effort=effort.astype(np.float32),
        motion=random_motion(len(times_s), random_style(random), loud, random),
        expression=_random_expression(random),
    )


def _random_expression(random: np.random.Generator) -> dict[str, float]:
    smile = max(random.normal(_SMILE_MEAN, _SMILE_SPREAD), 0.0)
    asymmetry = random.normal(0, _ASYMMETRY_SPREAD)
    squint = max(random.normal(0, _SQUINT_SPREAD), 0.0)
    return {
        "RsmileClose": float(max(smile + asymmetry, 0)),
        "LsmileClose": float(max(smile - asymmetry, 0)),
        "Rsquint": float(squint),
        "Lsquint": float(squint),
    }


def _eyelid_morphs(blink: float, gaze_pitch_deg: float) -> dict[str, float]:
    closure = max(blink, min(max(-gaze_pitch_deg / _LID_DEG, 0.0), _MAX_LID))
    return {"ReyeClose": closure, "LeyeClose": closure}


def _brow_morphs(brow: float) -> dict[str, float]:
    up, down = max(brow, 0.0), max(-brow, 0.0)
    return {"RbrowUp": up, "LbrowUp": up, "RRbrowUp": up, "LLbrowUp": up, "RbrowDown": down, "LbrowDown": down}


def _rounded_rows(values: Float32[np.ndarray, "..."], digits: int) -> list[Any]:
    return np.round(values.astype(float), digits).tolist()
