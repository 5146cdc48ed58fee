"""Who speaks in which file, by the folders of known data sets (docs/prepare.md says what is assumed of each).

The layouts are those in which the sets are handed out; folders above are ignored.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pcavs.errors import InputError

Layout: TypeAlias = Literal["auto", "folder", "voxceleb2", "lrw", "lrs2", "lrs3", "hdtf", "mead", "grid"]
"""How files are laid out; `auto` recognises the named sets file by file."""

Facts: TypeAlias = dict[str, str]
"""`speaker`, `split`, and what else the folders tell."""

VAL_SPEAKERS: Final = 20
"""Where no split is given, one speaker in this many is held out for validation."""

_VOXCELEB2_SPEAKER: Final = re.compile(r"id\d{5}")
_LRW_CLIP: Final = re.compile(r"[A-Z]+_\d{5}")
_LRS2_PROGRAMME: Final = re.compile(r"\d{15,}")
_LRS3_TALK: Final = re.compile(r"[\w-]{11}")
_MEAD_ACTOR: Final = re.compile(r"[MW]\d{3}")
_GRID_SPEAKER: Final = re.compile(r"s(\d{1,2})(_processed|\.mpg_\w+)?")
_GRID_SENTENCE: Final = re.compile(r"[blps][bgrw][abiw][a-z][0-9z][anps]")
"""Command, colour, preposition, letter, digit, adverb."""
_GRID_NAME: Final = re.compile(rf"(?:.*_)?s(\d{{1,2}})_{_GRID_SENTENCE.pattern}")
"""Speaker and sentence in one name, as in copies without folders."""
_HDTF_CLIP: Final = re.compile(r"(RD|WDA|WRA)_(?P<video>.+?)_\d+(?:_cfr25)?")
_SPLITS: Final = ("train", "val", "test")


def facts_from_path(path: Path, layout: Layout) -> Facts:
    """Derives speaker and split from a file's folders.

    Args:
        path: Path relative to the folder of sources.
        layout: A set by name takes every file as one of the set; `auto` recognises it by its folders and name.
    """
    parts = path.with_suffix("").parts
    if layout == "auto":
        for recognise in _RECOGNISED:
            if (facts := recognise(parts)) is not None:
                return facts
        # pcavs synth: train / HEAD / 0001.mp4.
        if len(parts) == 3 and parts[0] in ("train", "val") and parts[-1].isdigit():
            return {"speaker": parts[1], "split": parts[0]}
    elif layout != "folder":
        return _NAMED[layout](parts)
    return _held_out_by_speaker(parts[0])


def split_of(speaker: str) -> str:
    """Holds out one speaker in `VAL_SPEAKERS`, whatever else is in the set."""
    return "val" if zlib.crc32(speaker.encode()) % VAL_SPEAKERS == 0 else "train"


def hdtf_person(name: str) -> str | None:
    """Returns who speaks in a clip of HDTF, or the video of a radio programme; None for a name of another kind.

    Args:
        name: Name of the clip, without folders and ending.
    """
    match = _HDTF_CLIP.fullmatch(name)
    if match is None:
        return None
    video = match["video"]
    return video if match[1] == "RD" else video.rstrip("0123456789") or video


def _held_out_by_speaker(speaker: str) -> Facts:
    return {"speaker": speaker, "split": split_of(speaker)}


def _folder(parts: Sequence[str], above: int) -> str:
    """Returns the folder so many levels above the file, or the file's name where there is none."""
    return parts[-1 - above] if len(parts) > above else parts[-1]


def _voxceleb2(parts: Sequence[str]) -> Facts:
    """`[test/mp4/] id00012 / VIDEO / 00001`."""
    speaker = _folder(parts, 2)
    return {"speaker": speaker, "split": "val" if "test" in parts[:-3] else split_of(speaker)}


def _lrw(parts: Sequence[str]) -> Facts:
    """`ABOUT / train / ABOUT_00001`; the set does not name its speakers, so each clip counts as one of its own."""
    split = parts[-2] if len(parts) > 1 and parts[-2] in _SPLITS else "train"
    return {"speaker": parts[-1], "split": split, "word": parts[-3] if len(parts) > 2 else ""}


def _lrs2(parts: Sequence[str]) -> Facts:
    """`{main,pretrain} / PROGRAMME / 00001`; a programme counts as a speaker, the same in both parts."""
    return _held_out_by_speaker(_folder(parts, 1))


def _lrs3(parts: Sequence[str]) -> Facts:
    """`{pretrain,trainval,test} / TALK / 00001`; a talk counts as a speaker."""
    speaker = _folder(parts, 1)
    return {"speaker": speaker, "split": "val" if "test" in parts[:-2] else split_of(speaker)}


def _hdtf(parts: Sequence[str]) -> Facts:
    """`WDA_NancyPelosi0_000`: a number ends a person's video. `RD_Radio11_0`: it counts the videos of a programme."""
    return _held_out_by_speaker(hdtf_person(parts[-1]) or parts[-1])


def _mead(parts: Sequence[str]) -> Facts:
    """`M003 / video / front / angry / level_1 / 001`, or the same joined by `_` in the file's name."""
    names = (*parts, parts[-1].partition("_")[0])
    return _held_out_by_speaker(next((name for name in names if _MEAD_ACTOR.fullmatch(name)), _folder(parts, 1)))


def _grid(parts: Sequence[str]) -> Facts:
    """`s1 / [video / mpg_6000 /] bbaf2n`, or `s1_bbaf2n`."""
    matches = (_GRID_NAME.fullmatch(parts[-1]), *(_GRID_SPEAKER.fullmatch(name) for name in reversed(parts[:-1])))
    numbers = (match[1] for match in matches if match)
    number = next(numbers, None)
    return _held_out_by_speaker(_folder(parts, 1) if number is None else f"s{int(number)}")


_NAMED: Final[dict[str, Callable[[Sequence[str]], Facts]]] = {
    "voxceleb2": _voxceleb2,
    "lrw": _lrw,
    "lrs2": _lrs2,
    "lrs3": _lrs3,
    "hdtf": _hdtf,
    "mead": _mead,
    "grid": _grid,
}


def _is_voxceleb2(parts: Sequence[str]) -> bool:
    return len(parts) > 2 and bool(_VOXCELEB2_SPEAKER.fullmatch(parts[-3]))


def _is_lrw(parts: Sequence[str]) -> bool:
    return len(parts) > 2 and parts[-2] in _SPLITS and parts[-1].startswith(f"{parts[-3]}_")


def _is_lrs2(parts: Sequence[str]) -> bool:
    return len(parts) > 2 and parts[-3] in ("main", "pretrain") and bool(_LRS2_PROGRAMME.fullmatch(parts[-2]))


def _is_lrs3(parts: Sequence[str]) -> bool:
    known = len(parts) > 2 and parts[-3] in ("pretrain", "trainval", "test")
    return known and bool(_LRS3_TALK.fullmatch(parts[-2])) and parts[-1].isdigit()


def _is_hdtf(parts: Sequence[str]) -> bool:
    return bool(_HDTF_CLIP.fullmatch(parts[-1]))


def _is_mead(parts: Sequence[str]) -> bool:
    actors = [place for place, name in enumerate(parts[:-1]) if _MEAD_ACTOR.fullmatch(name)]
    return any(parts[place + 1] == "video" for place in actors)


def _is_grid(parts: Sequence[str]) -> bool:
    has_speaker = any(_GRID_SPEAKER.fullmatch(name) for name in parts[:-1])
    return bool(_GRID_NAME.fullmatch(parts[-1]) or (has_speaker and _GRID_SENTENCE.fullmatch(parts[-1])))


def _fits_lrw(parts: Sequence[str]) -> bool:
    return bool(_LRW_CLIP.fullmatch(parts[-1]))


def _fits_lrs2(parts: Sequence[str]) -> bool:
    return len(parts) > 1 and bool(_LRS2_PROGRAMME.fullmatch(parts[-2]))


def _fits_lrs3(parts: Sequence[str]) -> bool:
    return len(parts) > 1 and bool(_LRS3_TALK.fullmatch(parts[-2])) and parts[-1].isdigit()


def _fits_mead(parts: Sequence[str]) -> bool:
    """Tells whether a folder, or the beginning of the file's name, is an actor."""
    return any(_MEAD_ACTOR.fullmatch(name) for name in (*parts[:-1], parts[-1].partition("_")[0]))


def _fits_grid(parts: Sequence[str]) -> bool:
    """Tells whether a folder is a speaker, or the file's name has one."""
    return _is_grid(parts) or any(_GRID_SPEAKER.fullmatch(name) for name in parts[:-1])


_FITS: Final[dict[str, tuple[Callable[[Sequence[str]], bool], str]]] = {
    "voxceleb2": (_is_voxceleb2, "id00012/VIDEO/00001.mp4"),
    "lrw": (_fits_lrw, "ABOUT/train/ABOUT_00001.mp4"),
    "lrs2": (_fits_lrs2, "main/5535415699068794046/00001.mp4"),
    "lrs3": (_fits_lrs3, "trainval/0Fi83BHQsMA/00002.mp4"),
    "hdtf": (_is_hdtf, "WDA_NancyPelosi0_000.mp4"),
    "mead": (_fits_mead, "M003/video/front/angry/level_1/001.mp4"),
    "grid": (_fits_grid, "s1/bbaf2n.mpg"),
}
"""Whether folders and name of a file tell what those of the set do, also where only a part of the set's folders is
there; and an example."""


def check_layout(names: Sequence[str], layout: Layout, folder: Path) -> str | None:
    """Compares the files of a folder with the layout that the user named.

    Args:
        names: Paths relative to the folder.
        layout: The layout.
        folder: The folder of sources.

    Returns:
        A line about the files that do not fit; None if all do, or every file fits the layout by definition.

    Raises:
        InputError: No file fits.
    """
    if layout not in _FITS or not names:
        return None
    is_one, example = _FITS[layout]
    others = [name for name in names if not is_one(Path(name).with_suffix("").parts)]
    if not others:
        return None
    if len(others) == len(names):
        raise InputError(
            f"no file in {folder} fits the layout {layout}: expected names like {example}, found {others[0]}; "
            "give --layout folder, which takes the first folder as the speaker, or an --index"
        )
    return (
        f"{len(others)} of {len(names)} files do not fit the layout {layout}, such as {others[0]} (expected names like "
        f"{example}); their folders or names count as the speakers"
    )


def _recognised(is_one: Callable[[Sequence[str]], bool], name: str) -> Callable[[Sequence[str]], Facts | None]:
    return lambda parts: _NAMED[name](parts) if is_one(parts) else None


_RECOGNISED: Final = (
    _recognised(_is_voxceleb2, "voxceleb2"),
    _recognised(_is_lrw, "lrw"),
    _recognised(_is_lrs2, "lrs2"),
    _recognised(_is_lrs3, "lrs3"),
    _recognised(_is_hdtf, "hdtf"),
    _recognised(_is_mead, "mead"),
    _recognised(_is_grid, "grid"),
)
"""Tried in this order."""
