"""Implements `pcavs verify` and `pcavs.verify`: what a film or sound says about its origin, and whether that holds."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any, Final

from pcavs.errors import InputError
from pcavs.media.audio import stream_waveform
from pcavs.media.source import decodable_streams, open_media, tags_of
from pcavs.provenance.audio_mark import AudioMark, MarkDetector
from pcavs.provenance.credentials import Credentials, media_type, read_credentials
from pcavs.provenance.film_log import LogMatch, search_log
from pcavs.provenance.keys import anchors
from pcavs.provenance.options import VerifyOptions

EXIT_VALID: Final = 0
"""The credentials are valid: they say where the file comes from, and it was not changed."""
EXIT_MARKED: Final = 3
"""No valid credentials, but something else: a mark, a tag, broken credentials, or a film of the given log."""
EXIT_NOTHING: Final = 4
"""Nothing was found, which does not show that a file is real."""

_TAG: Final = "Synthetic: a computer made this face speak."
"""How the comment of a film begins (`Talker.tags`)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verification:
    """What is known about a file."""

    path: Path
    credentials: Credentials
    sound: AudioMark | None
    """The mark in the sound; None if the file has no sound."""
    tag: str | None
    """The metadata entry that says that the film is synthetic; anybody can write or remove it."""

    log: LogMatch | None = None
    """What the given log knows of the file; None if none was given."""

    @property
    def exit_code(self) -> int:
        """Exit code of `pcavs verify`: 0, 3 or 4."""
        if self.credentials.state in ("trusted", "valid"):
            return EXIT_VALID
        marked = self.sound is not None and self.sound.found
        logged = self.log is not None and self.log.is_film
        return EXIT_MARKED if marked or logged or self.tag or self.credentials.state == "broken" else EXIT_NOTHING

    @property
    def sentence(self) -> str:
        """The result in plain words."""
        marked = self.sound is not None and self.sound.found
        found = self.credentials
        if found.state in ("trusted", "valid"):
            who = "a signer that you trust" if found.state == "trusted" else "a signer that is not known here"
            kind = _KINDS.get(found.source_type or "", "it does not say whether it is synthetic")
            return f"Unchanged since {who} signed it; made with {found.software or 'unnamed software'}: {kind}."
        if found.state == "broken":
            also = " Its sound carries the mark of pcavs: it is synthetic." if marked else ""
            return f"Its credentials do not fit: the file was changed, or its signature is not good.{also}"
        if marked:
            return "It carries no credentials, but its sound carries the mark of pcavs: it comes from a synthetic film."
        if self.log is not None and self.log.is_film:
            return "It carries no credentials and no mark, but the log says that it was made here: it is synthetic."
        if self.tag:
            return (
                "It carries no credentials and no mark, but a tag, which anybody can write, says that it is synthetic."
            )
        return "Nothing was found. That does not show that it is real: credentials and marks can be removed."

    def to_json(self) -> dict[str, Any]:
        """Returns the result as JSON values."""
        return {
            "file": str(self.path),
            "exit_code": self.exit_code,
            "sentence": self.sentence,
            "credentials": self.credentials._asdict(),
            "sound": None if self.sound is None else self.sound._asdict(),
            "tag": self.tag,
            "log": None if self.log is None else dataclasses.asdict(self.log),
        }

    def lines(self) -> list[str]:
        """Returns the result as lines of text."""
        found = self.credentials
        rows = [self.sentence, f"credentials: {found.state}"]
        if found.state != "absent":
            rows[1] += f"; signer {found.signer}; software {found.software}; source type {found.source_type}"
        if found.problems:
            rows.append(f"problems: {', '.join(found.problems)}")
        if self.sound is not None:
            word = f"found, version {self.sound.version}" if self.sound.found else "not found"
            rows.append(f"mark in the sound: {word}; score {self.sound.score:.1f}; chance {self.sound.false_rate:.1g}")
        rows.append(f"tag: {self.tag or 'none'}")
        return rows if self.log is None else [*rows, self.log.line()]


_KINDS: Final = {
    "trainedAlgorithmicMedia": "it is synthetic",
    "compositeWithTrainedAlgorithmicMedia": "parts of it are synthetic",
    "digitalCapture": "it says that a camera recorded it",
}


def run(options: VerifyOptions) -> Verification:
    """Checks one file.

    Raises:
        InputError: A file cannot be read.
    """
    return verify(options.file, anchor=options.anchor, log=options.log)


def verify(path: str | Path, *, anchor: str | Path | None = None, log: str | Path | None = None) -> Verification:
    """Says where a film or sound comes from, as far as it tells; changes nothing and asks no network.

    Args:
        path: Any film or sound, also of other software.
        anchor: Root certificate in PEM to trust besides the user's own.
        log: Log of films to look the file up in.

    Raises:
        InputError: The file cannot be read, or is neither a film nor a sound.
    """
    path = Path(path)
    trusted = anchors()
    if anchor is not None:
        try:
            trusted += Path(anchor).read_bytes()
        except OSError as error:
            raise InputError(f"{anchor} cannot be opened ({error.strerror}); give a certificate in PEM") from error
        if b"BEGIN CERTIFICATE" not in trusted:
            raise InputError(f"{anchor} is not a certificate in PEM; pcavs keys export writes one")
    media_type(path)  # refuses files that cannot be opened
    try:
        credentials = read_credentials(path, trusted)
    except ImportError:
        credentials = Credentials("absent", problems=("c2pa-python is not installed, so credentials were not read",))
    sound, tag = _heard(path)
    match = None if log is None else search_log(Path(log), path)
    return Verification(path=path, credentials=credentials, sound=sound, tag=tag, log=match)


def _heard(path: Path) -> tuple[AudioMark | None, str | None]:
    """Searches the sound for the mark, and the metadata for the tag."""
    with open_media(path) as container:
        comments = {name.lower(): value for name, value in tags_of(container).items()}
        has_sound = bool(decodable_streams(container, "audio"))
    tag = next((value for value in comments.values() if value.startswith(_TAG)), None)
    if not has_sound:
        return None, tag
    detector = MarkDetector()
    with contextlib.suppress(InputError):  # damaged sound is searched as far as it can be read
        for piece in stream_waveform(path):
            detector.add(piece)
    return detector.finish(), tag
