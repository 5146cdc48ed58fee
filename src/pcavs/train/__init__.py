"""Trains talkers: `pcavs train` runs one stage, `pcavs adapt` fits a talker to one person."""
