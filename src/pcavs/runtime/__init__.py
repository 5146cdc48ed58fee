"""Runs a talker's networks, NumPy arrays in and out: with OpenVINO (no torch needed), or with torch."""
