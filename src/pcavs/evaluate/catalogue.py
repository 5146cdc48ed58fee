"""What each number is called, its unit, and which way is better: for tables and for docs."""

from typing import Final, NamedTuple


class Metric(NamedTuple):
    """How a number is shown and read."""

    title: str
    unit: str
    better: str
    """`higher`, `lower`, `as truth`, or nothing where neither is."""
    digits: int = 2


METRICS: Final[dict[str, Metric]] = {
    "sync_confidence": Metric("sync confidence (our judge)", "", "higher", 3),
    "sync_distance": Metric("sync distance (our judge)", "", "lower", 3),
    "sync_offset": Metric("best offset", "frames", "as truth", 1),
    "sync_likeness": Metric("sync cosine (our judge)", "", "higher", 3),
    "unheard_sync_confidence": Metric("... with the speech that was not used", "", "", 3),
    "unheard_sync_distance": Metric("... distance to the speech that was not used", "", "", 3),
    "syncnet_confidence": Metric("SyncNet confidence (LSE-C, our cut)", "", "higher"),
    "syncnet_distance": Metric("SyncNet distance (LSE-D, our cut)", "", "lower"),
    "syncnet_offset": Metric("SyncNet best offset", "frames", "as truth", 1),
    "opening_follows": Metric("mouth opening follows the truth", "r", "higher"),
    "opening_lag": Metric("... lag", "frames", "as truth", 1),
    "opening_mean": Metric("mouth opening", "of eye distance", "as truth", 3),
    "opening_spread": Metric("... its spread", "of eye distance", "as truth", 3),
    "silent_lips_cm_s": Metric("lip motion in silence", "cm/s", "as truth"),
    "mouth_lmd_px": Metric("mouth landmark distance", "px of 256", "lower"),
    "mouth_lmd": Metric("mouth landmark distance", "of eye distance", "lower", 3),
    "face_lmd": Metric("face landmark distance", "of eye distance", "lower", 3),
    "mouth_shape_mm": Metric("lip shape, head removed", "mm", "lower"),
    "mouth_error": Metric("mouth area error", "grey levels", "lower"),
    "ssim": Metric("SSIM", "", "higher", 3),
    "psnr": Metric("PSNR", "dB", "higher", 1),
    "lpips-alex": Metric("LPIPS, AlexNet", "", "lower", 3),
    "lpips-vgg": Metric("LPIPS, VGG16", "", "lower", 3),
    "cpbd": Metric("CPBD", "", "as truth", 3),
    "mouth_sharpness": Metric("mouth sharpness", "grey levels", "as truth", 1),
    "flicker": Metric("flicker along the flow", "grey levels", "as truth"),
    "jitter": Metric("landmark jitter", "of eye distance", "as truth", 4),
    "blinks": Metric("blinks", "a minute", "as truth", 1),
    "identity faceres-deep": Metric("identity, faceres-deep", "0 stranger, 1 same", "higher"),
    "identity dlib-resnet-v1": Metric("identity, dlib", "0 stranger, 1 same", "higher"),
    "cosine faceres-deep": Metric("cosine, faceres-deep", "", "higher"),
    "cosine dlib-resnet-v1": Metric("cosine, dlib", "", "higher"),
    "yaw_error": Metric("yaw error", "deg", "lower"),
    "pitch_error": Metric("pitch error", "deg", "lower"),
    "roll_error": Metric("roll error", "deg", "lower"),
    "yaw_motion_error": Metric("yaw motion error", "deg", "lower"),
    "pitch_motion_error": Metric("pitch motion error", "deg", "lower"),
    "roll_motion_error": Metric("roll motion error", "deg", "lower"),
    "yaw_follows": Metric("yaw follows its source", "r", "higher"),
    "pitch_follows": Metric("pitch follows its source", "r", "higher"),
    "roll_follows": Metric("roll follows its source", "r", "higher"),
    "yaw_lag": Metric("yaw lag", "frames", "as truth", 1),
    "yaw_range": Metric("the source's own yaw spread", "deg", "", 1),
    "found": Metric("frames with a face", "share", "higher"),
}

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Speech": (
        "sync_confidence",
        "sync_distance",
        "sync_offset",
        "sync_likeness",
        "syncnet_confidence",
        "syncnet_distance",
        "syncnet_offset",
        "unheard_sync_confidence",
        "unheard_sync_distance",
        "opening_follows",
        "opening_lag",
    ),
    "Lips": (
        "opening_mean",
        "opening_spread",
        "silent_lips_cm_s",
        "mouth_lmd_px",
        "mouth_lmd",
        "mouth_shape_mm",
        "mouth_error",
        "mouth_sharpness",
    ),
    "Picture": ("ssim", "psnr", "lpips-alex", "lpips-vgg", "cpbd", "flicker", "jitter", "face_lmd", "blinks", "found"),
    "Person": ("identity faceres-deep", "identity dlib-resnet-v1", "cosine faceres-deep", "cosine dlib-resnet-v1"),
    "Head": (
        "yaw_error",
        "pitch_error",
        "roll_error",
        "yaw_motion_error",
        "pitch_motion_error",
        "roll_motion_error",
        "yaw_follows",
        "pitch_follows",
        "roll_follows",
        "yaw_lag",
        "yaw_range",
    ),
}
"""The report's tables: all numbers of all films would be fifty columns in one."""

GLANCE: Final = (
    "opening_follows",
    "sync_confidence",
    "sync_offset",
    "silent_lips_cm_s",
    "mouth_error",
    "mouth_lmd",
    "ssim",
    "lpips-alex",
    "lpips-vgg",
    "mouth_sharpness",
    "flicker",
    "jitter",
    "identity faceres-deep",
    "identity dlib-resnet-v1",
    "yaw_motion_error",
    "pitch_motion_error",
)
"""What the report shows first."""

MEDIANS: Final = ("sync_offset", "syncnet_offset", "opening_lag", "yaw_lag", "pitch_lag", "roll_lag")
"""Places of a peak: one clip without any would move their mean by many frames."""

PAPER: Final = ("ssim", "cpbd", "mouth_lmd_px", "sync_confidence")
"""Columns of the paper's table, in its order: SSIM, CPBD, LMD, Sync."""

PAPER_SAYS: Final[dict[str, tuple[float, float, float, float]]] = {
    "ground truth": (1.0, 0.090, 0.0, 5.9),
    "PC-AVS (paper)": (0.886, 0.083, 6.88, 5.9),
    "PC-AVS, fixed pose (paper)": (0.820, 0.084, 7.68, 5.8),
}
"""Zhou et al., CVPR 2021, its table for VoxCeleb2, as remembered; unverified (docs/evaluate.md)."""
