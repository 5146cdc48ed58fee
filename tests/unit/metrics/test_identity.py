"""Cosines of embeddings and their normalisation."""

import numpy as np
import pytest

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
