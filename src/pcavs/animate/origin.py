"""What a film says about its origin: marks, and credentials that are signed when its file is complete."""

import dataclasses
import functools
import json
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pcavs
from pcavs.animate.inputs import input_files
from pcavs.animate.options import FilmOptions
from pcavs.errors import InputError
from pcavs.media.files import refuse_replacing
from pcavs.media.film import SoundFilter
from pcavs.media.still import is_still
from pcavs.media.video import count_pictures
from pcavs.provenance.audio_mark import MARK_VERSION, mark_blocks
from pcavs.provenance.credentials import Signing, Statement, can_sign, file_digest, sign
from pcavs.provenance.film_log import check_log, record_film
from pcavs.provenance.keys import own_key, read_key

logger = logging.getLogger(__name__)

_MAX_CONSENT_BYTES: Final = 1_000_000
"""Size of the largest consent record that is read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """What is put into a film, and what its credentials say."""

    statement: Statement
    sign_with: tuple[Path, Path] | None = None
    """Certificate chain and key; None takes the user's own."""
    tsa: str | None = None
    """Address of a time stamp authority."""
    log: Path | None = None
    """Log to which the film is appended."""

    @property
    def sound_filter(self) -> SoundFilter | None:
        """What marks the sound; None if the mark is off."""
        return mark_blocks if any(mark.startswith("audio") for mark in self.statement.marks) else None

    def finisher(self, path: Path) -> Callable[[Path], None] | None:
        """Returns what signs the finished film under its temporary name, and appends it to the log; None for neither.

        The line is in the log before the film has its final name, so no film is without its line.

        Raises:
            InputError: The key cannot be used.
            OutputError: The log cannot be written.
        """
        sign_film = self.signer(path)
        if self.log is None:
            return sign_film
        refuse_replacing([path, self.log], ())
        check_log(self.log)
        return functools.partial(_sign_and_log, sign_film=sign_film, log=self.log, statement=self.statement)

    def signer(self, path: Path) -> Callable[[Path], None] | None:
        """Returns what signs the finished film under its temporary name.

        Where it cannot be signed, it returns None and logs a warning.

        Raises:
            InputError: The key cannot be used.
        """
        reason = can_sign(path)
        if reason is not None:
            logger.warning("%s", reason)
            return None
        key = own_key() if self.sign_with is None else read_key(*self.sign_with)
        if key.note is not None:
            logger.warning("%s", key.note)
        return functools.partial(sign, path=path, statement=self.statement, signing=Signing(key, self.tsa))


def _sign_and_log(part: Path, *, sign_film: Callable[[Path], None] | None, log: Path, statement: Statement) -> None:
    if sign_film is not None:
        sign_film(part)
    record_film(log, part, statement.version, statement.weights_digest)


def film_origin(options: FilmOptions, weights: str, digest: str, title: str) -> Origin:
    """Returns what a film of these settings says about its origin.

    Args:
        options: Settings of the film.
        weights: Name of the weights.
        digest: SHA-256 of the weights.
        title: Title of the film.

    Raises:
        InputError: The consent record cannot be used, or a timeline cannot be read.
    """
    is_dub = options.full_frame and not is_still(options.identity) and count_pictures(options.identity, 0.0, None) > 1
    inputs = tuple((role, path) for role, path in input_files(options) if path.is_file())
    extra: dict[str, Any] = {} if options.label is None else {"label": options.label}
    if options.consent is not None:
        extra["consent"] = read_consent(options.consent)
    statement = Statement(
        title=title,
        version=pcavs.__version__,
        weights=weights,
        weights_digest=digest,
        marks=() if options.marks == "none" else (f"audio {MARK_VERSION}",),
        inputs=inputs,
        parent=options.identity if is_dub else None,
        extra=extra,
    )
    return Origin(statement=statement, sign_with=options.sign_with, tsa=options.tsa, log=options.log)


def read_consent(path: Path) -> dict[str, Any]:
    """Checks a consent record, and returns what the credentials say about it: its digest, and its last day.

    A record is text of any kind. If it is a JSON object, `until` (YYYY-MM-DD) is the last day on which it can be used.

    Raises:
        InputError: The file cannot be read, is empty, or the consent has ended.
    """
    digest = file_digest(path)
    data = path.read_bytes()
    if not data.strip() or len(data) > _MAX_CONSENT_BYTES:
        raise InputError(f"{path} is empty or larger than 1 MB; give who agrees to what, as text or JSON")
    record: dict[str, Any] = {"sha256": digest}
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return record
    if isinstance(fields, dict) and fields.get("until") is not None:
        try:
            until = date.fromisoformat(str(fields["until"]))
        except ValueError as error:
            raise InputError(f"{path}: until is {str(fields['until'])[:40]!r}; give a date as YYYY-MM-DD") from error
        if until < datetime.now(UTC).date():
            raise InputError(f"{path}: the consent ended on {until}; ask for a new one")
        record["until"] = until.isoformat()
    return record
