"""The part of the API that receives files: images, sounds, videos, and texts to speak."""

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse
from pydantic import ConfigDict, Field
from starlette.responses import Response

from pcavs.errors import InputError
from pcavs.serve.body import Body
from pcavs.serve.caller import Caller, Parts
from pcavs.serve.keep import BUSY, SPEAKING, keep, speak
from pcavs.serve.people import Owner
from pcavs.serve.problems import Problem
from pcavs.serve.receive import receive_file
from pcavs.serve.service import Service
from pcavs.serve.views import UploadView, upload_view

router = APIRouter(tags=["uploads"])


def _body(field: str, media: str) -> dict[str, Any]:
    """Returns the description of an upload for OpenAPI: a form with a file, or the file itself."""
    form = {"type": "object", "required": [field], "properties": {field: {"type": "string", "format": "binary"}}}
    content = {
        "multipart/form-data": {"schema": form},
        media: {"schema": {"type": "string", "format": "binary"}},
    }
    return {"requestBody": {"required": True, "content": content}}


class Speech(Body):
    """A text to speak."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Hello there."}]})
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    voice: Annotated[str, Field(max_length=120)] = "en-us"


@router.post("/images", status_code=201, openapi_extra=_body("image", "image/*"), summary="Send a photograph")
async def add_image(request: Request, caller: Caller, parts: Parts) -> UploadView:
    """Receives a photograph of the person (JPEG, PNG, WebP, HEIC, ...)."""
    return await _receive(request, caller, parts, "image")


@router.post("/audios", status_code=201, openapi_extra=_body("audio", "audio/*"), summary="Send recorded speech")
async def add_audio(request: Request, caller: Caller, parts: Parts) -> UploadView:
    """Receives speech: any file with sound."""
    return await _receive(request, caller, parts, "audio")


@router.post("/videos", status_code=201, openapi_extra=_body("video", "video/*"), summary="Send a video or head track")
async def add_video(request: Request, caller: Caller, parts: Parts) -> UploadView:
    """Receives a video to follow or to dub, or a head track that `pcavs pose extract` saved."""
    return await _receive(request, caller, parts, "video")


@router.post("/speech", status_code=201, summary="Speak a text")
async def add_speech(speech: Speech, caller: Caller, parts: Parts) -> UploadView:
    """Speaks a text; the sound is kept like an upload, so that it can be heard and several films can have it."""
    check_text(speech.text, parts)
    return upload_view(await to_thread.run_sync(speak, caller, parts, speech.text, speech.voice, limiter=SPEAKING))


@router.get("/images/{name}", summary="Show an image")
@router.get("/audios/{name}", summary="Show a sound")
@router.get("/videos/{name}", summary="Show a video or head track")
def get_upload(name: str, caller: Caller, parts: Parts) -> UploadView:
    """Returns the facts of an upload."""
    return upload_view(parts.uploads.get(caller, name))


@router.get(
    "/audios/{name}/sound",
    summary="Hear a sound",
    response_class=FileResponse,
    responses={200: {"content": {"audio/wav": {}}, "description": "The sound as it was sent or spoken."}},
)
def get_sound(name: str, caller: Caller, parts: Parts) -> FileResponse:
    """Returns the file of a sound to its owner."""
    row = parts.uploads.get(caller, name)
    if row.kind != "audio":
        raise Problem(404, f"{name} is no sound; only sounds can be heard")
    try:
        path = parts.store.local(row.key)
    except FileNotFoundError as error:
        raise Problem(404, "the sound was removed; send it again") from error
    with path.open("rb") as file:
        is_wav = file.read(4) == b"RIFF"
    return FileResponse(
        path,
        media_type="audio/wav" if is_wav else "application/octet-stream",
        filename=f"{name}.wav" if is_wav else name,
        content_disposition_type="attachment",
        headers={"Cache-Control": "private, no-store"},
    )


@router.delete("/images/{name}", status_code=204, summary="Remove an image")
@router.delete("/audios/{name}", status_code=204, summary="Remove a sound")
@router.delete("/videos/{name}", status_code=204, summary="Remove a video or head track")
def remove_upload(name: str, caller: Caller, parts: Parts) -> Response:
    """Removes an upload; films that were ordered with it and wait will fail."""
    parts.uploads.remove(caller, name)
    return Response(status_code=204)


def check_text(text: str, parts: Service) -> None:
    """Checks the length of a text.

    Raises:
        InputError: It is too long.
    """
    if len(text) > parts.options.max_characters:
        raise InputError(f"a text of {len(text)} characters cannot be said; give 1 to {parts.options.max_characters}")


async def _receive(request: Request, owner: Owner, parts: Service, kind: str) -> UploadView:
    part = parts.store.new_part()
    try:
        await receive_file(request, part, parts.limits.bytes)
        return upload_view(await to_thread.run_sync(keep, owner, parts, part, kind, limiter=BUSY))
    finally:
        part.unlink(missing_ok=True)
