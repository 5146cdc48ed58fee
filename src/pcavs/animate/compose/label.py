"""The visible label of a film: a few words in a corner of every frame, drawn once and blended into each."""

import io
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw, ImageFont

from pcavs.animate.options import Corner
from pcavs.errors import InputError
from pcavs.types import Cutout, Picture

_TEXT_SHARE: Final = 0.05
"""Size of the font as a share of the frame's shorter side: 13 px at 256 px, 54 px at 1080p. Chosen by eye."""
_LEAST_TEXT_PX: Final = 12
"""Smallest usual size of the font; below about this, letters run together once the film is compressed."""
_LEAST_SHRUNK_PX: Final = 8
"""Size down to which long texts are made smaller so that they fit; smaller ones cannot be read."""
_WIDTH_SHARE: Final = 0.9
"""Largest width of the label as a share of the frame's."""
_PADDING_SHARE: Final = 0.35
"""Space around the text inside its box, as a share of the font's size."""
_MARGIN_SHARE: Final = 0.6
"""Distance of the box from the edges of the frame, as a share of the font's size."""
_BOX_OPACITY: Final = 0.6
"""Opacity of the black box: white text on it stays legible on white (contrast 5.7 to 1) and on black."""
_RGB: Final = 3
"""Channels of a frame without alpha."""
_LEAST_ALPHA: Final = 1e-3
"""Smallest opacity that colours are divided by; it keeps a division from 0."""
_NO_CHARACTER: Final = "\uffff"
"""Has no glyph in any font, so fonts draw for it what they draw for missing ones."""


class Label(NamedTuple):
    """A drawn label and its place, for frames of one size."""

    top: int
    """First row of the frame that it covers."""
    left: int
    """First column."""
    colour: Float32[np.ndarray, "height width 1"]
    """What is added, 0 to 255: grey levels times opacity."""
    kept: Float32[np.ndarray, "height width 1"]
    """Share of the frame that stays, 0 to 1."""

    def blend(self, frame: Picture | Cutout) -> Picture | Cutout:
        """Returns a frame, RGB or RGBA with straight alpha, with the label; the frame itself is not changed."""
        height, width = self.kept.shape[:2]
        place = np.s_[self.top : self.top + height, self.left : self.left + width]
        labelled, below = frame.copy(), frame[place].astype(np.float32)
        if frame.shape[2] == _RGB:
            labelled[place] = (below * self.kept + self.colour + 0.5).astype(np.uint8)
            return labelled
        share = below[..., _RGB:] / 255 * self.kept
        alpha = 1 - self.kept + share
        colours = (below[..., :_RGB] * share + self.colour) / np.maximum(alpha, _LEAST_ALPHA)
        labelled[place] = (np.dstack([colours, 255 * alpha]) + 0.5).clip(0, 255).astype(np.uint8)
        return labelled


def draw_label(text: str, corner: Corner, size_px: tuple[int, int], font_file: Path | None = None) -> Label:
    """Draws a label: white text on a dark box.

    Args:
        text: One line; longer texts are drawn smaller.
        corner: Where it is in the frame.
        size_px: Width and height of the frames.
        font_file: A TrueType or OpenType font; None takes the one in Pillow, which draws ASCII only.

    Raises:
        InputError: The font cannot be read or lacks a character, or the text is too long for the frame.
    """
    width, height = size_px
    usual_px = max(_LEAST_TEXT_PX, round(_TEXT_SHARE * min(size_px)))
    _check_characters(text, _font(usual_px, font_file), font_file)
    for text_px in range(usual_px, _LEAST_SHRUNK_PX - 1, -1):
        mask = _text_mask(text, _font(text_px, font_file), round(_PADDING_SHARE * text_px))
        rows, columns = mask.shape
        margin_px = min(round(_MARGIN_SHARE * text_px), width - columns)
        if columns <= _WIDTH_SHARE * width and rows + margin_px <= height:
            break
    else:
        raise InputError(f"the label does not fit into {width} x {height} pixels; shorten it, or enlarge the film")
    vertical, _, horizontal = corner.partition("-")
    opacity = mask + (1 - mask) * np.float32(_BOX_OPACITY)
    return Label(
        top=margin_px if vertical == "top" else height - rows - margin_px,
        left=margin_px if horizontal == "left" else width - columns - margin_px,
        colour=255 * mask[:, :, None],
        kept=1 - opacity[:, :, None],
    )


def _font(text_px: int, file: Path | None) -> ImageFont.FreeTypeFont:
    if file is None:
        font = ImageFont.load_default(text_px)
        assert isinstance(
            font, ImageFont.FreeTypeFont
        )  # the bitmap font is for Pillow without FreeType; wheels have it
        return font
    try:
        return ImageFont.truetype(io.BytesIO(file.read_bytes()), text_px)
    except OSError as error:
        reason = error.strerror or "not a font"
        raise InputError(f"{file} cannot be used ({reason}); give a TrueType or OpenType font") from error


def _check_characters(text: str, font: ImageFont.FreeTypeFont, file: Path | None) -> None:
    """Raises an `InputError` for characters that the font has no glyph for."""
    absent = _text_mask(_NO_CHARACTER, font)
    missing = "".join(sorted({each for each in text if not each.isspace() and _is_missing(each, font, absent)}))
    if missing:
        what = "the built-in font, which has ASCII only," if file is None else f"{file}"
        raise InputError(f"{what} cannot draw {missing[:20]!r}; change the label, or give another font as label_font")


def _is_missing(character: str, font: ImageFont.FreeTypeFont, absent: Float32[np.ndarray, "height width"]) -> bool:
    drawn = _text_mask(character, font)
    return not drawn.any() or np.array_equal(drawn, absent)


def _text_mask(text: str, font: ImageFont.FreeTypeFont, padding_px: int = 0) -> Float32[np.ndarray, "height width"]:
    """Returns how much of each pixel the text covers, 0 to 1, with padding around it."""
    ascent, descent = font.getmetrics()
    left, _, right, _ = font.getbbox(text)
    size = round(right - left) + 2 * padding_px, ascent + descent + 2 * padding_px
    picture = Image.new("L", size)
    ImageDraw.Draw(picture).text((padding_px - left, padding_px), text, fill=255, font=font)
    return np.asarray(picture, np.float32) / 255
