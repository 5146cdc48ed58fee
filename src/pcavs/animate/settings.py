"""Converts the settings in a user's file into those of `AnimateOptions`: rows of a batch, people of a dialogue."""

from pathlib import Path
from typing import Any, Final, NamedTuple

from pcavs.errors import InputError
from pcavs.media.files import path_below
from pcavs.media.names import path_exists
from pcavs.media.timeline import parse_time
from pcavs.spec import Seconds, kinds_of

QUOTED_CHARACTERS: Final = 40
"""Characters of a wrong name or value that an error message repeats."""
_TRUE_WORDS: Final = ("true", "yes", "1")
_FALSE_WORDS: Final = ("false", "no", "0")
"""Accepted values of a switch, in lower case."""
_FILES_OR_WORDS: Final = ("pose", "eyes", "brows", "mouth", "face", "pose_face", "background")
"""Settings that take words as well as files."""


def converted(name: str, kind: Any, value: Any, files: "NamedFiles") -> Any:
    """Converts a value to the type of its setting.

    Args:
        name: The setting.
        kind: Its type in `AnimateOptions`.
        value: The value in the row; JSON values need not have the right type.
        files: Makes paths of file names.

    Raises:
        InputError: The value cannot be converted, or names a file that a row must not name.
    """
    if name in _FILES_OR_WORDS:
        # These take words as well as files; a file of that name takes precedence.
        word = files.file_or_word(str(value), name)
        return Path(word) if name == "pose" else word
    if name == "references":
        words = value if isinstance(value, list) else str(value).split(";")
        return tuple(files.path(str(word).strip(), name) for word in words)
    kinds = kinds_of(kind)
    try:
        if Path in kinds:
            return files.path(str(value), name)
        if bool in kinds:
            return _boolean(value)
        if int in kinds:
            return int(str(value))
        number = str(value).replace(",", ".")  # as spreadsheets of many countries write it
        if Seconds in kinds:
            return parse_time(number)
        if float in kinds:
            return float(number)
    except ValueError as error:
        raise InputError(
            f"{name} is {str(value)[:QUOTED_CHARACTERS]!r}; give a number, or true or false for a switch"
        ) from error
    return str(value)


class NamedFiles(NamedTuple):
    """Makes paths of the file names in a row."""

    folder: Path
    """Folder of the list, to which names are relative."""
    outside: bool
    """Whether files may lie outside of the folder."""

    def path(self, name: str, setting: str) -> Path:
        """Returns the path of a file.

        Raises:
            InputError: It lies outside of the folder.
        """
        return path_below(self.folder, name, setting, outside=self.outside)

    def file_or_word(self, value: str, setting: str) -> str:
        """Returns a path if there is such a file, otherwise the value: a preset, degrees, or a choice of face."""
        if _is_file(self.folder / value):
            return str(self.path(value, setting))
        if _is_file(Path(value)):  # of the folder that the command runs in
            path_below(self.folder, str(Path(value).absolute()), setting, outside=self.outside)
        return value


def _is_file(path: Path) -> bool:
    return path_exists(path) and path.is_file()


def _boolean(value: Any) -> bool:
    word = str(value).lower()
    if word not in _TRUE_WORDS + _FALSE_WORDS:
        raise ValueError(word)
    return word in _TRUE_WORDS
