"""The catalogue of metrics: name, unit, direction and definition of each, for the report and for `pcavs compare`."""

from typing import Final, NamedTuple


class Metric(NamedTuple):
    """How a metric is shown and read."""

    title: str
    unit: str
    better: str
    """`higher`, `lower`, `as truth` (the ground truth's value is best), or empty where no value is better."""
    digits: int
    """Decimals shown."""
    meaning: str
    """Definition in one sentence."""


_EYES: Final = "eye distances"

METRICS: Final[dict[str, Metric]] = {
    "sync_confidence": Metric(
        "sync confidence", "", "higher", 3, "Sync judge: median distance over shifts of ±15 frames minus the smallest."
    ),
    "sync_confidence_at_0": Metric(
        "sync confidence, no shift", "", "higher", 3, "Sync judge: median distance over shifts minus that at no shift."
    ),
    "late_sync_confidence": Metric(
        "sync confidence, late speech", "", "", 3, "Confidence with the film's speech 5 frames late; any shift."
    ),
    "late_sync_confidence_at_0": Metric(
        "sync confidence, late speech, no shift", "", "lower", 3, "The same at no shift, where the judge should object."
    ),
    "other_sync_confidence": Metric(
        "sync confidence, another's speech", "", "lower", 3, "Confidence with the speech of another clip; any shift."
    ),
    "other_sync_confidence_at_0": Metric(
        "sync confidence, another's speech, no shift", "", "lower", 3, "The same at no shift."
    ),
    "sync_distance": Metric(
        "sync distance", "", "lower", 3, "Sync judge: distance of mouth and sound, 0 to 2; about 1.4 if unrelated."
    ),
    "sync_offset": Metric(
        "sync offset", "frames", "as truth", 1, "Shift at which mouth and sound fit best; positive: the mouth is late."
    ),
    "sync_cosine": Metric("sync cosine", "", "higher", 3, "Sync judge: cosine of mouth and sound, -1 to 1."),
    "unused_sync_confidence": Metric(
        "sync confidence, unused speech", "", "", 3, "Other speech only: confidence with the clip's own, unused speech."
    ),
    "unused_sync_distance": Metric(
        "sync distance, unused speech", "", "", 3, "Other speech only: distance to the clip's own, unused speech."
    ),
    "syncnet_confidence": Metric(
        "SyncNet confidence", "", "higher", 2, "LSE-C of the published SyncNet, on our own crop of the face."
    ),
    "syncnet_distance": Metric(
        "SyncNet distance", "", "lower", 2, "LSE-D of the published SyncNet, on our own crop of the face."
    ),
    "syncnet_offset": Metric("SyncNet offset", "frames", "as truth", 1, "Sync offset by the published SyncNet."),
    "opening_correlation": Metric(
        "mouth opening correlation", "r", "higher", 2, "Pearson correlation of the mouth opening with the truth's."
    ),
    "opening_best": Metric(
        "mouth opening correlation, best lag", "r", "higher", 2, "The largest correlation within 4 frames of lag."
    ),
    "width_correlation": Metric(
        "mouth width correlation", "r", "higher", 2, "Pearson correlation of the mouth width with the truth's."
    ),
    "width_best": Metric(
        "mouth width correlation, best lag", "r", "higher", 2, "The largest correlation within 4 frames of lag."
    ),
    "bilabials": Metric("m, b, p", "", "", 1, "Bilabial sounds of the clip, by its phoneme times."),
    "bilabials_closed": Metric(
        "m, b, p closed", "share", "higher", 2, "Share of m, b, p within 40 ms of which the lips meet."
    ),
    "vowels_closed": Metric(
        "open vowels closed",
        "share",
        "as truth",
        2,
        "Share of open vowels amid which the lips meet: a mouth that rests.",
    ),
    "opening_lag": Metric(
        "mouth opening lag", "frames", "as truth", 1, "Lag of largest correlation; positive: the film is late."
    ),
    "opening_mean": Metric("mouth opening", _EYES, "as truth", 3, "Mean gap between the inner lips."),
    "opening_std": Metric("mouth opening, std", _EYES, "as truth", 3, "Standard deviation of the gap over time."),
    "silent_lip_speed_cm_s": Metric(
        "lip speed in silence", "cm/s", "as truth", 2, "Root mean square speed of the lips, head motion removed."
    ),
    "mouth_lmd_px": Metric(
        "mouth landmark distance", "px of 256", "lower", 2, "Mean distance of lip landmarks to the truth's (LMD)."
    ),
    "mouth_lmd": Metric(
        "mouth landmark distance",
        _EYES,
        "lower",
        3,
        "Mean distance of lip landmarks to the truth's, relative to the face.",
    ),
    "face_lmd_px": Metric(
        "face landmark distance", "px of 256", "lower", 2, "Distance of the landmarks of outline, eyes, nose and lips."
    ),
    "face_lmd": Metric(
        "face landmark distance", _EYES, "lower", 3, "Mean distance of the landmarks of outline, eyes, nose and lips."
    ),
    "lip_shape_error_mm": Metric(
        "lip shape error", "mm", "lower", 2, "Distance of lip landmarks, head motion and the clip's mean shape removed."
    ),
    "mouth_area_error": Metric(
        "mouth area error", "grey levels", "lower", 2, "Mean absolute RGB difference in the dilated area of the mouth."
    ),
    "ssim": Metric("SSIM", "", "higher", 3, "Structural similarity of luminance, -1 to 1; Gaussian window of 11 px."),
    "psnr": Metric("PSNR", "dB", "higher", 1, "Peak signal-to-noise ratio of RGB; equal frames count as 60 dB."),
    "lpips-alex": Metric("LPIPS, AlexNet", "", "lower", 3, "Learned perceptual distance, every fifth frame."),
    "lpips-vgg": Metric("LPIPS, VGG16", "", "lower", 3, "Learned perceptual distance, every fifth frame."),
    "cpbd": Metric("CPBD", "", "as truth", 3, "Share of edges too narrow to look blurred, 0 to 1, every fifth frame."),
    "mouth_sharpness": Metric(
        "mouth sharpness", "grey levels", "as truth", 1, "Standard deviation of the Laplacian in the mouth area."
    ),
    "flicker": Metric(
        "flicker", "grey levels", "as truth", 2, "Mean absolute change between frames after motion compensation."
    ),
    "landmark_jitter": Metric(
        "landmark jitter", _EYES, "as truth", 4, "Root mean square second difference of rigid, unsmoothed landmarks."
    ),
    "blinks_per_minute": Metric("blinks", "per minute", "as truth", 1, "Eye closures of at most half a second."),
    "identity faceres-deep": Metric(
        "identity, faceres-deep", "0 to 1", "higher", 2, "Rescaled cosine: 0 as a stranger, 1 as true frames."
    ),
    "identity dlib-resnet-v1": Metric(
        "identity, dlib", "0 to 1", "higher", 2, "Rescaled cosine: 0 as a stranger, 1 as true frames."
    ),
    "identity arcface": Metric(
        "identity, ArcFace", "0 to 1", "higher", 2, "Rescaled cosine: 0 as a stranger, 1 as true frames."
    ),
    "cosine arcface": Metric(
        "cosine, ArcFace", "", "higher", 2, "Cosine of face embeddings with the identity reference."
    ),
    "cosine faceres-deep": Metric(
        "cosine, faceres-deep", "", "higher", 2, "Cosine of face embeddings with the identity reference."
    ),
    "cosine dlib-resnet-v1": Metric(
        "cosine, dlib", "", "higher", 2, "Cosine of face embeddings with the identity reference."
    ),
    "yaw_error": Metric("yaw error", "deg", "lower", 2, "Mean absolute difference to the pose source."),
    "pitch_error": Metric("pitch error", "deg", "lower", 2, "Mean absolute difference to the pose source."),
    "roll_error": Metric("roll error", "deg", "lower", 2, "Mean absolute difference to the pose source."),
    "yaw_motion_error": Metric(
        "yaw motion error", "deg", "lower", 2, "As the error, after removing each clip's mean angle."
    ),
    "pitch_motion_error": Metric(
        "pitch motion error", "deg", "lower", 2, "As the error, after removing each clip's mean angle."
    ),
    "roll_motion_error": Metric(
        "roll motion error", "deg", "lower", 2, "As the error, after removing each clip's mean angle."
    ),
    "yaw_correlation": Metric("yaw correlation", "r", "higher", 2, "Pearson correlation with the pose source."),
    "pitch_correlation": Metric("pitch correlation", "r", "higher", 2, "Pearson correlation with the pose source."),
    "roll_correlation": Metric("roll correlation", "r", "higher", 2, "Pearson correlation with the pose source."),
    "yaw_lag": Metric("yaw lag", "frames", "as truth", 1, "Lag of largest correlation; positive: the film is late."),
    "source_yaw_std": Metric(
        "yaw of the source, std",
        "deg",
        "",
        1,
        "Standard deviation of the pose source's yaw: the motion to follow.",
    ),
    "face_found": Metric("face found", "share", "higher", 2, "Share of frames in which the tracker found the face."),
}

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Speech": (
        "sync_confidence",
        "sync_confidence_at_0",
        "late_sync_confidence",
        "late_sync_confidence_at_0",
        "other_sync_confidence",
        "other_sync_confidence_at_0",
        "sync_distance",
        "sync_offset",
        "sync_cosine",
        "syncnet_confidence",
        "syncnet_distance",
        "syncnet_offset",
        "unused_sync_confidence",
        "unused_sync_distance",
        "opening_correlation",
        "opening_best",
        "opening_lag",
        "width_correlation",
        "width_best",
    ),
    "Lips": (
        "opening_mean",
        "opening_std",
        "bilabials",
        "bilabials_closed",
        "vowels_closed",
        "silent_lip_speed_cm_s",
        "mouth_lmd_px",
        "mouth_lmd",
        "lip_shape_error_mm",
        "mouth_area_error",
        "mouth_sharpness",
    ),
    "Picture": (
        "ssim",
        "psnr",
        "lpips-alex",
        "lpips-vgg",
        "cpbd",
        "flicker",
        "landmark_jitter",
        "face_lmd_px",
        "face_lmd",
        "blinks_per_minute",
        "face_found",
    ),
    "Identity": (
        "identity faceres-deep",
        "identity dlib-resnet-v1",
        "identity arcface",
        "cosine faceres-deep",
        "cosine dlib-resnet-v1",
        "cosine arcface",
    ),
    "Head": (
        "yaw_error",
        "pitch_error",
        "roll_error",
        "yaw_motion_error",
        "pitch_motion_error",
        "roll_motion_error",
        "yaw_correlation",
        "pitch_correlation",
        "roll_correlation",
        "yaw_lag",
        "source_yaw_std",
    ),
}
"""Tables of the report and the metrics in each."""

HEADLINE: Final = (
    "face_found",
    "opening_correlation",
    "width_correlation",
    "sync_confidence",
    "sync_offset",
    "silent_lip_speed_cm_s",
    "mouth_area_error",
    "mouth_lmd",
    "ssim",
    "lpips-alex",
    "lpips-vgg",
    "mouth_sharpness",
    "flicker",
    "landmark_jitter",
    "identity faceres-deep",
    "identity dlib-resnet-v1",
    "yaw_motion_error",
    "pitch_motion_error",
)
"""Metrics of the report's first table."""

MEDIANS: Final = ("sync_offset", "syncnet_offset", "opening_lag", "yaw_lag", "pitch_lag", "roll_lag")
"""Metrics that are aggregated by median: one clip without a clear peak would move their mean by many frames."""

PAPER_COLUMNS: Final = ("ssim", "cpbd", "mouth_lmd_px", "sync_confidence")
"""Our metrics in the order of the paper's columns: SSIM, CPBD, LMD, Sync."""

PAPER_FIGURES: Final[dict[str, tuple[float, float, float, float]]] = {
    "ground truth": (1.0, 0.090, 0.0, 5.9),
    "PC-AVS (paper)": (0.886, 0.083, 6.88, 5.9),
    "PC-AVS, fixed pose (paper)": (0.820, 0.084, 7.68, 5.8),
}
"""Zhou et al., CVPR 2021, table for VoxCeleb2; quoted from memory and not checked against the paper."""
