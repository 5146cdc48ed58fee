"""The head converter, on toys and, where one is at hand, on a real head."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pcavs.synth.avatars import EYE_PART, HAIR_PART, MOUTH_PARTS, load_avatar
from pcavs.synth.visemes import VISEMES, mouth_morphs

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


@pytest.fixture(scope="module")
def converter() -> Iterator[ModuleType]:
    """The module scripts/convert_avatars.py, with its folder on the path."""
    pytest.importorskip("meshoptimizer")
    sys.path.insert(0, str(SCRIPTS))
    spec = importlib.util.spec_from_file_location("convert_avatars", SCRIPTS / "convert_avatars.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["convert_avatars"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(SCRIPTS))
    del sys.modules["convert_avatars"]


@pytest.mark.slow
@pytest.mark.usefixtures("device")
def test_a_simplified_real_head_keeps_what_a_portrait_shows(
    converter: ModuleType, shared: Path, tmp_path: Path
) -> None:
    source = shared / "data" / "avatars" / "White_F_1_Util.glb"
    if not source.exists():
        pytest.skip("no shared avatars here")
    converter.convert(source, tmp_path / "full.npz", simplify=False)
    converter.convert(source, tmp_path / "simplified.npz", simplify=True)
    full, simplified = load_avatar(tmp_path / "full.npz"), load_avatar(tmp_path / "simplified.npz")
    assert sum(map(len, full.triangles)) > 3 * sum(map(len, simplified.triangles)) > 30_000
    assert set(np.unique(simplified.parts)) >= {0, EYE_PART, HAIR_PART, *MOUTH_PARTS}
    needed = {name for weights in np.eye(len(VISEMES), dtype=np.float32) for name in mouth_morphs(weights, 1.0)}
    assert needed - {"t_FV"} <= set(simplified.morph_rows)
    assert simplified.textures[0].shape == (1024, 1024, 3)
    np.testing.assert_allclose(simplified.eye_distance_m, 0.063, atol=0.008)
    # It has no vertex of its own, so it can be mixed with a full head.
    assert np.isin(simplified.vertex_ids, full.vertex_ids).mean() > 0.99
    simplified_open = simplified.morphs[simplified.morph_rows["AE_AA"]].reshape(-1, 6)
    full_open = full.morphs[full.morph_rows["AE_AA"]].reshape(-1, 6)
    assert simplified_open[:, 1].min() == pytest.approx(full_open[:, 1].min(), abs=1e-4)


def test_a_file_that_is_not_gltf_is_reported(converter: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "photo.glb").write_bytes(b"\x89PNG and more")
    with pytest.raises(SystemExit, match=r"photo\.glb is not a binary glTF"):
        converter.convert(tmp_path / "photo.glb", tmp_path / "out.npz", simplify=True)


@pytest.mark.usefixtures("device", "converter")
def test_hidden_vertices_and_their_morphs_are_dropped(toy_path: Path, tmp_path: Path) -> None:
    from simplification import drop_hidden  # in scripts/, which the fixture put on the path

    with np.load(toy_path) as stored:
        arrays = dict(stored)
    count = len(arrays["positions"])
    behind = arrays["positions"] * 0.02 + np.array([0, 1.57, 0.06], np.float32)
    doubled = {name: np.concatenate([arrays[name]] * 2) for name in ("normals", "uvs", "bones", "parts")}
    more = (
        arrays
        | doubled
        | {
            "positions": np.concatenate([arrays["positions"], behind]).astype(np.float32),
            "triangles": np.concatenate([arrays["triangles"] + count, arrays["triangles"]]).astype(np.uint32),
            "triangle_textures": np.zeros(2 * len(arrays["triangles"]), np.uint8),
            "morph_starts": arrays["morph_starts"] * 2,
            "morph_vertices": np.concatenate([arrays["morph_vertices"], arrays["morph_vertices"] + count]),
            "morph_deltas": np.concatenate([arrays["morph_deltas"]] * 2),
            "morph_normals": np.concatenate([arrays["morph_normals"]] * 2),
        }
    )
    np.savez(tmp_path / "more.npz", **more)
    less = drop_hidden(more, tmp_path / "more.npz")
    np.testing.assert_array_equal(less["positions"], arrays["positions"])
    np.testing.assert_array_equal(less["triangles"], arrays["triangles"])
    np.testing.assert_array_equal(less["morph_starts"], arrays["morph_starts"])
    np.testing.assert_array_equal(less["morph_vertices"], arrays["morph_vertices"])
