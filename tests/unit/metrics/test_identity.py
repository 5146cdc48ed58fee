"""Cosines of embeddings and their normalisation."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as opset

from pcavs.errors import WeightsError
from pcavs.metrics.identity import cosine, find_embedders, mean_cosine, normalised_similarity


def test_normalised_similarity_is_one_for_the_person_and_zero_for_a_stranger():
    assert normalised_similarity(0.8, 0.8, 0.5) == pytest.approx(1)
    assert normalised_similarity(0.5, 0.8, 0.5) == pytest.approx(0)
    assert normalised_similarity(0.4, 0.8, 0.5) < 0


def test_cosines_of_unit_vectors():
    one, other = np.eye(3, dtype=np.float32)[:2]
    assert cosine(one, one) == 1
    assert cosine(one, other) == 0
    assert mean_cosine([one, other], one) == pytest.approx(0.5)


def test_empty_folder_has_no_embedder(tmp_path):
    assert find_embedders(tmp_path) == []


def write_arcface(path, *, inputs=1):
    """Writes a network that averages each quarter of the face: 12 numbers."""
    face = opset.parameter([-1, 3, -1, -1], np.float32)
    pooled = opset.avg_pool(face, [56, 56], [0, 0], [0, 0], [56, 56], False)
    outputs = [opset.reshape(pooled, np.array([1, -1]), False)]
    more = [opset.parameter([1], np.float32) for _ in range(inputs - 1)]
    ov.save_model(ov.Model(outputs, [face, *more], "arcface"), path, compress_to_fp16=False)


def test_an_arcface_network_of_the_users_embeds_faces_of_112_px(tmp_path):
    write_arcface(tmp_path / "arcface.xml")
    (embedder,) = find_embedders(tmp_path)
    assert (embedder.name, embedder.side_px) == ("arcface", 112)
    chip = np.full((112, 112, 3), 255, np.uint8)
    chip[:56] = 0
    vector = embedder.embed(chip)
    assert np.linalg.norm(vector) == pytest.approx(1)
    quarters = vector.reshape(3, 2, 2)
    assert np.allclose(quarters[:, 0], -(12**-0.5))
    assert np.allclose(quarters[:, 1], 12**-0.5)


def test_a_network_that_takes_no_face_is_one_line(tmp_path):
    write_arcface(tmp_path / "arcface.xml", inputs=2)
    with pytest.raises(WeightsError, match="is no ArcFace network .*; give one that takes faces of 112 px") as caught:
        find_embedders(tmp_path)
    assert "\n" not in str(caught.value)
