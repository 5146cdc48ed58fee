"""Turns videos and photographs of people into aligned clips, and records why a clip was rejected."""
