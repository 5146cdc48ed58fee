"""Turns the head of one photograph: depth, warp, occlusion, background, eyelids."""
