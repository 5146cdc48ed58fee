"""Fixtures: one real face, videos of it, and the landmark networks, loaded once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import av
import cv2
import numpy as np
import pytest

from pcavs.face.align import clip_transform, crop_picture
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import track_picture
from pcavs.spec import CropSpec
from pcavs.types import CropTransform, Mesh, Picture

FilmWriter: TypeAlias = Callable[..., Path]


@pytest.fixture(scope="session")
def photo(root: Path, request: pytest.FixtureRequest) -> Path:
    """The test photograph, or another composite where it is missing."""
    path = root / "tests" / "data" / "composite.jpg"
    return path if path.exists() else request.getfixturevalue("shared") / "data" / "photos" / "composite_f_multi.jpg"


@pytest.fixture(scope="session")
def landmarker() -> FaceLandmarker:
    return FaceLandmarker(threads=1)


@pytest.fixture(scope="session")
def portrait(photo: Path, landmarker: FaceLandmarker) -> tuple[Picture, Mesh, CropTransform]:
    """The picture, its landmarks in pixels of a 256 px crop, and the transform of that crop."""
    picture = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    track = track_picture(picture, landmarker, "photo")
    transform = clip_transform(track.meshes, CropSpec(), 256)
    mesh = track.meshes[0].copy()
    mesh[:, :2] = mesh[:, :2] @ transform[:, :2].T + transform[:, 2]
    mesh[:, 2] *= np.sqrt(np.linalg.det(transform[:, :2]))
    return picture, mesh.astype(np.float32), transform


@pytest.fixture(scope="session")
def write_film(portrait: tuple[Picture, Mesh, CropTransform]) -> FilmWriter:
    """Writes videos of the face, which sways by a few pixels, with a tone unless `sound` is False."""

    def write(path: Path, *, frames: int = 12, side: int = 192, level: float = 0.3, **more: Any) -> Path:
        """Writes one: the first `hidden` frames are grey, `two` shows the face twice, a hard cut is at frame `cut`."""
        crop = crop_picture(portrait[0], portrait[2], 256)
        wide = cv2.copyMakeBorder(crop, 40, 40, 40, 40, cv2.BORDER_REPLICATE)
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=25, options={"crf": "12", "preset": "ultrafast"})
            video.height, video.width = side, side * (2 if more.get("two") else 1)
            video.pix_fmt = "yuv420p"
            track = container.add_stream("aac", rate=16_000, layout="mono") if more.get("sound", True) else None
            for k in range(frames):
                x = 20 + round(8 * np.sin(k / 3))
                picture = cv2.resize(wide[20:316, x : x + 296], (side, side), interpolation=cv2.INTER_AREA)
                if k < more.get("hidden", 0):
                    picture = np.full_like(picture, 90)
                if k >= more.get("cut", frames):
                    picture = (picture[:, ::-1] * np.array([0.3, 0.6, 0.9])).astype(np.uint8)
                if more.get("two"):
                    picture = np.concatenate([picture, picture[:, ::-1]], axis=1)
                container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
            container.mux(video.encode(None))
            if track is not None:
                tone = level * np.sin(np.arange(frames * 640) * 0.2).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
                frame.sample_rate = 16_000
                container.mux(track.encode(frame))
                container.mux(track.encode(None))
        return path

    return write
