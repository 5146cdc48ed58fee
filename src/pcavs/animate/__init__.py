"""Makes a film from a photograph, driving audio and a pose source."""
