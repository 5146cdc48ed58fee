"""The part of the API that describes the service: limits, head motions, health, figures."""

import functools
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

import pcavs
from pcavs.pose.life import natural
from pcavs.pose.presets import NATURAL, PRESET_NAMES, preset
from pcavs.serve.caller import Caller, Parts
from pcavs.serve.hooks import shown_key, webhook_key
from pcavs.serve.order import FORMATS
from pcavs.serve.problems import Problem
from pcavs.serve.service import Service
from pcavs.spec import FRAME_RATE
from pcavs.voices.catalogue import natural_voices
from pcavs.voices.espeak import languages

router = APIRouter(tags=["about"])

_SYLLABLE_S: Final = 0.22
_PHRASE_S: Final = 2.6
"""Length of a syllable and of a phrase in the speech that stands in for the user's in previews of head motion."""
_MIN_FREE_BYTES: Final = 100_000_000
"""Space below which the service is not ready."""


class State(BaseModel):
    """Whether films can be made now."""

    ready: bool
    why: str | None = None


class Voice(BaseModel):
    """A natural voice."""

    name: str
    language: str
    kind: str
    licence: str


class Voices(BaseModel):
    """What can speak texts."""

    natural: list[Voice]
    espeak: list[str]


class About(BaseModel):
    """What the service takes."""

    version: str
    max_bytes: int
    max_pixels: float
    max_seconds: float
    max_characters: int
    days: float
    require_consent: bool
    require_marks: bool
    formats: list[str]
    poses: list[str]


class Motion(BaseModel):
    """The head motion of a preset."""

    name: str
    fps: int
    yaw: list[float]
    pitch: list[float]
    roll: list[float]


class WebhookKey(BaseModel):
    """What signs webhooks to you."""

    key: str


@router.get("/about", summary="Limits and choices")
def about(_: Caller, parts: Parts) -> About:
    """Returns the limits of uploads, the formats of films, and the names of the head motions."""
    limits, options = parts.limits, parts.options
    return About(
        version=pcavs.__version__,
        max_bytes=limits.bytes,
        max_pixels=limits.pixels,
        max_seconds=limits.seconds,
        max_characters=options.max_characters,
        days=options.days,
        require_consent=options.require_consent,
        require_marks=options.require_marks,
        formats=list(FORMATS),
        poses=list(PRESET_NAMES),
    )


@router.get("/voices", summary="List voices")
def get_voices(_: Caller, parts: Parts) -> Voices:
    """Returns the natural voices that the service has, and the languages of eSpeak NG."""
    facts = ("name", "language", "kind", "licence")
    voices = natural_voices(parts.options.voices)
    natural = [Voice(**{fact: getattr(voice, fact) for fact in facts}) for voice in voices]
    return Voices(natural=natural, espeak=_espeak_languages())


@router.get("/poses/{name}", summary="Preview a head motion")
def get_pose(name: str, _: Caller, seconds: Annotated[float, Query(gt=0, le=30)] = 6.0, seed: int = 0) -> Motion:
    """Returns the angles of a preset, in degrees, for speech of an ordinary rhythm."""
    if name not in PRESET_NAMES or not 0 <= seed < 2**32:
        raise Problem(404, f"there is no head motion of this name; there are {', '.join(PRESET_NAMES)}")
    time = np.arange(max(1, round(seconds * FRAME_RATE))) / FRAME_RATE
    rhythm = np.abs(np.sin(np.pi * time / _SYLLABLE_S)) * (np.sin(2 * np.pi * time / _PHRASE_S) > -0.7)
    track = natural(rhythm, seed).head if name == NATURAL else preset(name, rhythm, seed)
    angles = track[:, :3].round(2)
    yaw, pitch, roll = (angles[:, column].tolist() for column in range(3))
    return Motion(name=name, fps=FRAME_RATE, yaw=yaw, pitch=pitch, roll=roll)


@router.get("/webhook-key", summary="Key of your webhooks")
def get_webhook_key(caller: Caller, parts: Parts) -> WebhookKey:
    """Returns the key that signs the webhooks of your films (Standard Webhooks)."""
    return WebhookKey(key=shown_key(webhook_key(parts.secret, caller.id)))


@router.get("/healthz", summary="Is the server alive?")
def healthz() -> dict[str, str]:
    """Answers as long as the server runs."""
    return {"status": "ok"}


@router.get("/readyz", summary="Can films be made?")
def readyz(parts: Parts) -> dict[str, str]:
    """Answers 200 if the database answers, a worker is alive and there is space; otherwise 503."""
    why = _not_ready(parts)
    if why is not None:
        raise Problem(503, why)
    return {"status": "ready"}


@router.get("/state", summary="Can films be made? Always 200")
def state(parts: Parts) -> State:
    """Says what `/readyz` says, but without an error, which browsers would write into their console."""
    why = _not_ready(parts)
    return State(ready=why is None, why=why)


_espeak_languages: Final = functools.cache(languages)
"""Languages of eSpeak NG; a process is started for the first look."""


def _not_ready(parts: Service) -> str | None:
    """Returns why no films can be made now; None if they can."""
    if parts.stopping.is_set():
        return "the service is stopping"
    if not parts.queue.count_workers():
        return "no worker is alive yet"
    if parts.store.free_bytes() < _MIN_FREE_BYTES:
        return "the disk is nearly full; free some space"
    return None


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
def metrics(_: Caller, parts: Parts) -> Response:
    """Returns figures in the text format of Prometheus."""
    return Response(parts.metrics.text(parts.queue), media_type="text/plain; version=0.0.4")
