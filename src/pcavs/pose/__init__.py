"""Where a head is and points over time: every pose source becomes a head track, in degrees.

- `source` reads `--pose`: a video, a saved track, a timeline, a preset's name or angles.
- `timeline` reads and checks timelines (JSON); `compile` turns one into a head track as long as the film.
- `presets` generates head motion from the rhythm of the speech; `measure` reads it from a video.
- `track` holds head tracks: arithmetic and files.
- `calibration` and `codes` fit a track to one photograph, and to talkers whose network turns the head.
- `commands` and `options` are `pcavs pose`.
"""
