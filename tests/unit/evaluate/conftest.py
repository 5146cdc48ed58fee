"""Rows of an evaluation as workers give them, with known numbers."""

import pytest

from pcavs.evaluate.scene import (
    COPIED,
    CROSS,
    FROZEN,
    MISMATCHED,
    OTHER_FACE,
    OTHER_POSE,
    SELF,
    SHIFTED,
    SILENCE,
    TRUTH,
)


def film(confidence, likeness, opening, offset=0.0, cosine=0.8, **more):
    return {
        "sync_confidence": confidence,
        "sync_distance": 1.0,
        "sync_likeness": likeness,
        "sync_offset": offset,
        "opening_follows": opening,
        "mouth_error": 8.0 - opening,
        "mouth_lmd": 0.05,
        "mouth_lmd_px": 3.0,
        "ssim": 0.9,
        "cpbd": 0.2,
        "cosine faceres-deep": cosine,
    } | more


def make_row(index, person):
    return {
        "key": f"clip-{index}",
        "person": person,
        "lender": "lender",
        "lends_pose": "x",
        "lends_speech": "y",
        "frames": 50,
        "films": {
            TRUTH: film(0.4, 0.6, 1.0, cosine=0.9),
            SHIFTED: film(0.4, 0.2, -0.1, offset=5.0, cosine=0.9),
            FROZEN: film(0.02, 0.1, 0.0),
            COPIED: film(0.1, 0.1, 0.0, cosine=0.5),
            f"A: {SELF}": film(0.3, 0.5, 0.7 + 0.01 * index),
            f"A: {CROSS}": film(0.3, 0.5, 0.0),
            f"A: {SILENCE}": film(0.0, 0.0, 0.0),
            f"A: {MISMATCHED}": film(0.3, 0.5, 0.1, unheard_sync_confidence=0.05, unheard_sync_likeness=0.1),
            f"A: {OTHER_POSE}": film(0.3, 0.5, 0.6),
            f"A: {OTHER_FACE}": film(0.3, 0.5, 0.6),
        },
        "exchanges": {
            "A": {
                "speech": {"mouth": (1.0, 1.0), "head": (0.0, 4.0)},
                "pose": {"mouth": (0.1, 1.0), "head": (4.0, 4.0)},
                "identity": {"mouth": (0.0, 1.0), "head": (1.0, 4.0)},
            }
        },
        "opening": {TRUTH: [0.1, 0.2, 0.3], "A": [0.1, 0.2, 0.25]},
        "shifts": {TRUTH: [1.2, 0.9, 1.2], "A": [1.2, 1.0, 1.1], f"A: {MISMATCHED}": [1.2, 1.2, 1.2]},
    }


@pytest.fixture
def rows():
    return [make_row(index, person) for index, person in enumerate(["ann", "ann", "bob", "cid"])]
