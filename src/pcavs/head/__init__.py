"""Turns the head of one photograph, without a network: depth map, warp, inpainting of folds, background, eyelids.

1. `depth` builds a depth map of the head from its landmarks, and a matte of the parts that move with the head.
2. `warp` rotates the depth map, which gives a forward displacement of every cell; it inverts the displacement by ray
   marching (visibility) and Newton's method, which gives each cell of the frame its source in the photograph.
3. `occlusion` inpaints the thin folds in which the warp compresses parts that the turn should hide.
4. `background` keeps what is behind the person still; `padding` extends photographs that are smaller than a frame.
5. `blink` schedules blinks; `eyes` closes lids (`eyelid`), turns eyes and opens them wide (`eyeball`).
6. `expression` moves brows, cheeks and the corners of the mouth.

`grid` holds the grid of cells on which all of this is computed.
"""
