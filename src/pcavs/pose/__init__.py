"""Head motion: converts every pose source into a head track, which is angles, place and size of the head over time.

- `source` reads `--pose`: a video, a saved track, a timeline, a preset's name or angles.
- `timeline` reads and checks timelines (JSON); `compile` turns one into a head track as long as the film.
- `presets` generates head motion from the rhythm of the speech; `measure` reads it from a video.
- `track` holds head tracks: arithmetic and files.
- `codes` fits a track to one photograph; `calibration` converts it for talkers whose network turns the head.
- `commands` and `options` are `pcavs pose`.
"""
