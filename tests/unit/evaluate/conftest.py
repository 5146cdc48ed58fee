"""Rows of an evaluation with known numbers, as worker processes return them."""

import pytest

from pcavs.evaluate.protocols import (
    COPIED,
    CROSS,
    FROZEN,
    LATE_SPEECH,
    OTHER_IDENTITY,
    OTHER_POSE,
    OTHER_SPEECH,
    SELF,
    SHIFTED,
    SILENCE,
    STILL,
    STILL_LATE,
    STILL_OTHER,
    TRUTH,
)


def film(confidence, sync_cosine, opening, offset=0.0, cosine=0.8, **more):
    return {
        "sync_confidence": confidence,
        "sync_distance": 1.0,
        "sync_cosine": sync_cosine,
        "sync_offset": offset,
        "opening_correlation": opening,
        "opening_best": opening,
        "width_correlation": opening - 0.1,
        "width_best": opening - 0.1,
        "mouth_area_error": 8.0 - opening,
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
        "set": "grid",
        "kind": "real",
        "pose_source_person": "stranger",
        "pose_source": "x",
        "speech_source": "y",
        "frames": 50,
        "films": {
            TRUTH: film(0.4, 0.6, 1.0, cosine=0.9),
            SHIFTED: film(0.4, 0.2, -0.1, offset=5.0, cosine=0.9),
            FROZEN: film(0.02, 0.1, 0.0),
            COPIED: film(0.1, 0.1, 0.0, cosine=0.5),
            f"A: {SELF}": film(0.3, 0.5, 0.7 + 0.01 * index),
            f"A: {CROSS}": film(0.3, 0.5, 0.0),
            f"A: {SILENCE}": film(0.0, 0.0, 0.0),
            f"A: {OTHER_SPEECH}": film(0.3, 0.5, 0.1, unused_sync_confidence=0.05, unused_sync_cosine=0.1),
            f"A: {LATE_SPEECH}": film(0.3, 0.5, 0.2),
            f"A: {STILL}": film(0.35, 0.5, 0.6 + 0.01 * index),
            f"A: {STILL_LATE}": film(0.3, 0.5, 0.1),
            f"A: {STILL_OTHER}": film(0.3, 0.5, 0.05, unused_sync_confidence=0.05, unused_sync_cosine=0.1),
            f"A: {OTHER_POSE}": film(0.3, 0.5, 0.6),
            f"A: {OTHER_IDENTITY}": film(0.3, 0.5, 0.6),
        },
        "motion_changes": {
            "A": {
                "speech": {"mouth": (1.0, 1.0), "head": (0.0, 4.0)},
                "pose": {"mouth": (0.1, 1.0), "head": (4.0, 4.0)},
                "identity": {"mouth": (0.0, 1.0), "head": (1.0, 4.0)},
            }
        },
        "mouth_opening": {TRUTH: [0.1, 0.2, 0.3], "A": [0.1, 0.2, 0.25]},
        "distance_curves": {TRUTH: [1.2, 0.9, 1.2], "A": [1.2, 1.0, 1.1], f"A: {OTHER_SPEECH}": [1.2, 1.2, 1.2]},
    }


@pytest.fixture
def rows():
    return [make_row(index, person) for index, person in enumerate(["ann", "ann", "bob", "cid"])]
