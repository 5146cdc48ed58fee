"""Options of `pcavs synth`; the field docstrings are the command's help texts."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class SynthOptions:
    """Renders talking heads with sound and exact truth, as training data.

    Writes OUT/SPLIT/HEAD/NNNN.mp4, with the sound as .wav and the truth of every frame as .json beside it; a clip is
    complete once its .mp4 exists. OUT/KEY.json collects the truth of all clips, and OUT/index.csv lists the clips for
    use by `pcavs prepare`. The same command continues a run that was stopped.
    """

    avatars: Path
    """Folder of heads converted by scripts/convert_avatars.py."""
    out: Path
    """Folder for the clips."""
    clips: int = 340
    """Number of training clips."""
    val_clips: int = 24
    """Number of validation clips, with heads, languages and voices that training clips never use."""
    index: Path | None = None
    """CSV with the columns `path` and `split`; heads marked `val` are used for validation clips only."""
    blend_with: Path | None = None
    """Folder of the same heads converted with `--full`. Half of the clips then show a mixture of two heads."""
    voices: Path | None = None
    """CSV of real voices with the columns path, speaker, split, language, text: recordings with or without their
    English text, and Piper voices (.onnx). Rows of split `train` speak in training clips, rows of split `val` in
    validation clips."""
    voices_share: float = 0.5
    """Share of the clips that use a voice of that table, 0 to 1; eSpeak NG speaks in the others."""
    languages: tuple[str, ...] = ()
    """Languages of eSpeak NG's speech, by its names (`de`, `en-us`); without it, those of the clip's split."""
    seconds: float = 4.0
    """Length of a clip in seconds, a multiple of 0.04."""
    size_px: int = 256
    """Side of the picture in pixels, even."""
    seed: int = 0
    """Clip N of a seed is always the same."""
    first_clip: int = 0
    """Number of the first clip, so that several runs can share the work."""
    workers: int = 1
    """Number of processes that render at the same time; it does not change the clips."""
