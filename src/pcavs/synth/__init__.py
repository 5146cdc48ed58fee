"""Renders talking heads of people who do not exist, with sound and the exact pose and mouth shapes of every frame."""
