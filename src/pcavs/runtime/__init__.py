"""Runs the networks behind one protocol: torch where it is installed, OpenVINO everywhere."""
