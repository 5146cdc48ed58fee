"""Settings of one `pcavs synth`."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class SynthOptions:
    """Renders talking heads with sound and exact truth, as training material.

    Clips go to OUT/train/HEAD/NNNN.mp4 (and .wav, .json with the truth of every frame) and OUT/val/HEAD/...; a clip
    is there complete or not at all. OUT/KEY.json lists them with their truth, OUT/index.csv for `pcavs prepare`. A
    second run continues a first one.
    """

    avatars: Path
    """Folder of heads converted by scripts/convert_avatars.py."""
    out: Path
    """Folder for the clips."""
    clips: int = 340
    """Training clips."""
    val_clips: int = 24
    """Clips of heads, languages and voices that training never meets."""
    index: Path | None = None
    """CSV with the columns `path` and `split`; heads marked `val` there are used for val clips only."""
    blend_with: Path | None = None
    """Folder of the same heads converted with `--full`: half of the clips show a mixture of two heads of one split."""
    voices: Path | None = None
    """CSV of real voices with the columns path, speaker, split, language, text: recordings, aligned to their English
    text (without text their phonemes are decoded, less surely), and Piper voices (.onnx). Rows of split `val` speak in
    val clips only, rows of split `train` in training clips only, others never."""
    voices_share: float = 0.5
    """How many of the clips speak with a voice of the table, 0 to 1; eSpeak NG speaks in the others."""
    languages: tuple[str, ...] = ()
    """Languages of eSpeak NG's speech, by its names (`de`, `en-us`); without, those that the split may use."""
    seconds: float = 4.0
    """Length of a clip, a multiple of 0.04."""
    size_px: int = 256
    """Side of the picture, even."""
    seed: int = 0
    """Clip N of a seed is always the same."""
    first_clip: int = 0
    """Number of the first clip, so that several runs can share the work."""
    workers: int = 1
    """Processes that render at the same time; the clips are the same with any number."""
