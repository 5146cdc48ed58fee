"""The linear map from pose codes to degrees."""

import json

import numpy as np
import pytest
import torch

from pcavs.data.pack import find_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.face.pose import angles_deg, rotation_from_angles
from pcavs.models.build import build_model
from pcavs.train.probe import fit_probe, probe_pose


def test_degrees_are_read_from_a_rotation_matrix():
    """The entries of a small rotation are nearly linear in its angles."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(-15, 15, (192, 3))
    rotation = rotation_from_angles(angles).reshape(-1, 9)
    probe = fit_probe(rotation, angles_deg(rotation.reshape(-1, 3, 3)))
    assert probe.error_deg.max() < 1
    assert probe.read(rotation) == pytest.approx(angles, abs=3)


def test_a_random_code_has_the_error_of_guessing():
    rng = np.random.default_rng(1)
    angles = rng.uniform(-15, 15, (192, 3))
    probe = fit_probe(rng.normal(size=(192, 12)), angles)
    assert probe.error_deg.min() > 5


def test_a_talker_is_probed(drawn_packs, tiny_spec):
    torch.manual_seed(0)
    corpus = PackCorpus.load(find_packs([drawn_packs]), "train")
    probe = probe_pose(build_model(tiny_spec).eval(), corpus)
    assert probe.weights.shape == (13, 3)
    stored = json.loads(probe.text())
    assert np.array(stored["weights"]).shape == (13, 3)
    assert len(stored["error_deg"]) == 3
