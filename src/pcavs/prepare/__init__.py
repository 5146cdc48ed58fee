"""Turns films of people into aligned clips, and writes down why a clip was refused."""
