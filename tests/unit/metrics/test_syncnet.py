"""The published SyncNet: towers against an independent implementation, MFCC, scoring and face crops."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import InputError, WeightsError
from pcavs.metrics.syncnet import SYNCNET, SyncNetJudge, find_syncnet, mfcc, score_syncnet, syncnet_faces

torch = pytest.importorskip("torch")

# (index, kernel shape) of the published file's convolutions; each batch norm has the next index.
VOICE = [(0, 64, 1, 3, 3), (4, 192, 64, 3, 3), (8, 384, 192, 3, 3), (11, 256, 384, 3, 3), (14, 256, 256, 3, 3)]
VOICE = [*VOICE, (18, 512, 256, 5, 4)]
MOUTH = [(0, 96, 3, 5, 7, 7), (4, 256, 96, 1, 5, 5), (8, 256, 256, 1, 3, 3), (11, 256, 256, 1, 3, 3)]
MOUTH = [*MOUTH, (14, 256, 256, 1, 3, 3), (18, 512, 256, 1, 6, 6)]
PLACES = {
    "netcnnaud": {0: (1, 1), 4: (1, 1), 8: (1, 1), 11: (1, 1), 14: (1, 1), 18: (1, 0)},
    "netcnnlip": {
        0: ((1, 2, 2), 0),
        4: ((1, 2, 2), (0, 1, 1)),
        8: (1, (0, 1, 1)),
        11: (1, (0, 1, 1)),
        14: (1, (0, 1, 1)),
        18: (1, 0),
    },
}
POOLED = {
    "netcnnaud": {4: (3, (1, 2), 0), 14: (3, 2, 0)},
    "netcnnlip": {0: ((1, 3, 3), (1, 2, 2), 0), 4: ((1, 3, 3), (1, 2, 2), (0, 1, 1)), 14: ((1, 3, 3), (1, 2, 2), 0)},
}


@pytest.fixture(scope="module")
def published():
    """Random weights under the published names."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def norm(name, width):
        state[f"{name}.weight"] = 0.5 + torch.rand(width, generator=generator)
        state[f"{name}.bias"] = torch.randn(width, generator=generator) * 0.1
        state[f"{name}.running_mean"] = torch.randn(width, generator=generator) * 0.1
        state[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=generator)

    for prefix, layers in (("netcnnaud", VOICE), ("netcnnlip", MOUTH)):
        for place, *shape in layers:
            spread = (2 / np.prod(shape[1:])) ** 0.5
            state[f"{prefix}.{place}.weight"] = torch.randn(shape, generator=generator) * spread
            state[f"{prefix}.{place}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
            norm(f"{prefix}.{place + 1}", shape[0])
    for prefix in ("netfcaud", "netfclip"):
        for place, gives in ((0, 512), (3, 1024)):
            state[f"{prefix}.{place}.weight"] = torch.randn(gives, 512, generator=generator) * 0.05
            state[f"{prefix}.{place}.bias"] = torch.randn(gives, generator=generator) * 0.1
        norm(f"{prefix}.1", 512)
    return state


@pytest.fixture(scope="module")
def judge(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judges")
    torch.save(published, folder / "syncnet_v2.model")
    load_converter().main(["syncnet", "--network", str(folder / "syncnet_v2.model"), "--out", str(folder)])
    return SyncNetJudge(folder)


def load_converter():
    path = Path(__file__).parents[3] / "scripts" / "convert_judges.py"
    spec = importlib.util.spec_from_file_location("convert_judges", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_hand(x, state, maps, head):
    """Runs a tower layer by layer."""
    functional = torch.nn.functional
    flat = maps == "netcnnaud"
    conv, pool = (functional.conv2d, functional.max_pool2d) if flat else (functional.conv3d, functional.max_pool3d)

    def normed(x, name):
        shape = (1, -1, *(1 for _ in x.shape[2:]))
        mean, var, gain, bias = (
            state[f"{name}.{part}"].reshape(shape) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (var + 1e-5).sqrt() * gain + bias).clamp(min=0)

    for place, (stride, padding) in PLACES[maps].items():
        x = conv(x, state[f"{maps}.{place}.weight"], state[f"{maps}.{place}.bias"], stride, padding)
        x = normed(x, f"{maps}.{place + 1}")
        if place in POOLED[maps]:
            x = pool(x, *POOLED[maps][place])
    x = x.flatten(1) @ state[f"{head}.0.weight"].T + state[f"{head}.0.bias"]
    return normed(x, f"{head}.1") @ state[f"{head}.3.weight"].T + state[f"{head}.3.bias"]


@pytest.mark.slow
def test_faces_are_embedded_as_published(judge, published):
    faces = np.random.default_rng(0).integers(0, 255, (6, 224, 224, 3)).astype(np.uint8)
    found = judge.embed_faces(faces)
    assert found.shape == (2, 1024)
    blue_first = torch.from_numpy(faces[..., ::-1].copy()).float().permute(3, 0, 1, 2)
    wanted = by_hand(blue_first[None, :, 1:6], published, "netcnnlip", "netfclip")[0].numpy()
    assert found[1] == pytest.approx(wanted, rel=1e-3, abs=1e-3 * float(np.abs(wanted).max()))


@pytest.mark.slow
def test_sound_is_embedded_as_published(judge, published):
    sound = np.random.default_rng(1).uniform(-0.3, 0.3, 16000 // 2).astype(np.float32)
    found = judge.embed_sound(sound)
    windows = torch.from_numpy(mfcc(sound).T.astype(np.float32))[None, None, :, 8:28]
    wanted = by_hand(windows, published, "netcnnaud", "netfcaud")[0].numpy()
    assert found[2] == pytest.approx(wanted, rel=1e-3, abs=1e-3 * float(np.abs(wanted).max()))
    assert len(found) == (len(mfcc(sound)) - 20) // 4 + 1


@pytest.mark.slow
def test_wrong_and_damaged_files_are_refused(judge, published, tmp_path):
    torch.save({name: value for name, value in published.items() if name != "netfclip.3.bias"}, tmp_path / "bad.model")
    with pytest.raises(SystemExit, match="is not SyncNet"):
        load_converter().convert_syncnet(tmp_path / "bad.model", tmp_path)
    assert find_syncnet(tmp_path) is None
    (tmp_path / f"{SYNCNET}-mouth.xml").write_text("<net/>")
    with pytest.raises(WeightsError, match=r"run scripts/convert_judges\.py again"):
        find_syncnet(tmp_path)
    with pytest.raises(InputError, match="sync of 4 frames cannot be scored"):
        judge.embed_faces(np.zeros((4, 224, 224, 3), np.uint8))


def test_mfcc_of_a_tone_by_hand():
    """One frame in the middle of a tone, computed with loops."""
    time = np.arange(4000) / 16000
    sound = (0.4 * np.sin(2 * np.pi * 700 * time)).astype(np.float32)
    levels = np.round(sound.astype(float) * 32768)
    emphasised = [levels[0], *(levels[n] - 0.97 * levels[n - 1] for n in range(1, len(levels)))]
    frame = np.array(emphasised[5 * 160 : 5 * 160 + 400])
    power = np.abs(np.fft.fft(np.concatenate([frame, np.zeros(112)]))[:257]) ** 2 / 512
    mel = [k * 2595 * np.log10(1 + 8000 / 700) / 27 for k in range(28)]
    edges = [int(513 * 700 * (10 ** (m / 2595) - 1) / 16000) for m in mel]
    bands = []
    for band in range(26):
        low, middle, high = edges[band : band + 3]
        total = sum(power[k] * (k - low) / (middle - low) for k in range(low, middle))
        bands.append(np.log(total + sum(power[k] * (high - k) / (high - middle) for k in range(middle, high))))
    wanted = [np.log(power.sum())]
    for order in range(1, 13):
        cosine = sum(bands[b] * np.cos(np.pi * order * (b + 0.5) / 26) for b in range(26)) * (2 / 26) ** 0.5
        wanted.append(cosine * (1 + 11 * np.sin(np.pi * order / 22)))
    assert mfcc(sound)[5] == pytest.approx(wanted, rel=1e-6)
    assert len(mfcc(sound)) == 1 + -(-(4000 - 400) // 160)
    assert np.isfinite(mfcc(np.zeros(800, np.float32))).all()


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_late_picture_has_positive_offset(late):
    steps = np.random.default_rng(0).normal(0, 1, (80, 1024)).astype(np.float32)
    score = score_syncnet(steps[20 - late : 60 - late], steps[20:60])
    assert score.offset_frames == late
    assert score.confidence > 10
    assert (score.cosine > 0.99) == (late == 0)


def test_sound_is_padded_with_zero_vectors():
    """As published: at a shift of k frames, k frames are compared with zeros."""
    seen = np.ones((20, 1024), np.float32)
    score = score_syncnet(seen, seen)
    curve = [abs(k - 15) * 32 / 20 for k in range(31)]
    assert score.distance == pytest.approx(0, abs=1e-3)
    assert score.confidence == pytest.approx(np.median(curve), rel=1e-3)


def test_face_crop_has_the_published_margins():
    """A box of 100 px: the crop extends 70 px to each side of its centre, 50 px above and 90 px below."""
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[70:170, 110:210] = (200, 100, 50)
    mesh = np.zeros((1, 478, 3), np.float32)
    mesh[0, :, 0], mesh[0, :, 1] = 160, 120
    mesh[0, :2, :2] = (110, 70), (210, 170)
    (face,) = syncnet_faces([picture], mesh)
    columns, rows = (np.flatnonzero((face[..., 0] > 150).any(axis=axis)) for axis in (0, 1))
    assert columns[0] == pytest.approx(20 / 140 * 224, abs=1.5)
    assert columns[-1] == pytest.approx(120 / 140 * 224, abs=1.5)
    assert rows[0] == pytest.approx(0, abs=1.5)
    assert rows[-1] == pytest.approx(100 / 140 * 224, abs=1.5)
    assert tuple(face[100, 80]) == (200, 100, 50)


def test_crop_ignores_a_jump_of_one_frame():
    rng = np.random.default_rng(0)
    mesh = np.zeros((30, 478, 3), np.float32)
    mesh[:, :, :2] = 120
    mesh[:, 0, :2], mesh[:, 1, :2] = 80, 160
    picture = rng.integers(0, 255, (240, 240, 3)).astype(np.uint8)
    still = syncnet_faces([picture] * 30, mesh)
    mesh[15, :, :2] += 9
    assert np.array_equal(syncnet_faces([picture] * 30, mesh), still)
