"""What a head does over time: tracks in degrees, timelines, presets, and how they are measured and calibrated."""
