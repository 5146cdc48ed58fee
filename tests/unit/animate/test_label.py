"""The visible label: legible on every background, in its corner, refused if it cannot be drawn."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from pcavs.animate.compose.label import draw_label
from pcavs.animate.options import FilmOptions
from pcavs.animate.origin import film_origin
from pcavs.errors import InputError
from pcavs.media.files import write_wav

TEXT = "AI-generated"


def luminance(levels: np.ndarray) -> np.ndarray:
    """Relative luminance of grey levels (WCAG 2)."""
    share = levels / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("side", [256, 512, 1080])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_text_stands_out_from_its_box_on_every_background(side: int, level: int):
    """4.5 to 1 is what WCAG 2 asks of small text."""
    frame = np.full((side, side, 3), level, np.uint8)
    label = draw_label(TEXT, "bottom-right", (side, side))
    shown = luminance(label.blend(frame)[label.top :, label.left :][: len(label.kept)])
    text, box = np.percentile(shown, 99.5), np.percentile(shown, 5)
    assert (text + 0.05) / (box + 0.05) > 4.5
    assert (frame == level).all()


@pytest.mark.parametrize("corner", ["bottom-right", "bottom-left", "top-right", "top-left"])
@pytest.mark.parametrize("size", [(256, 256), (1920, 1080), (108, 192)])
def test_only_its_corner_is_changed(corner: str, size: tuple[int, int]):
    width, height = size
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    label = draw_label(TEXT, corner, size)
    changed = np.argwhere((label.blend(frame) != frame).any(axis=2))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    assert (top < height / 2, bottom < height / 2) == (corner.startswith("top"),) * 2
    assert (left < width - 1 - right) == corner.endswith("left")
    assert min(left, top, width - 1 - right, height - 1 - bottom) >= 0


def test_a_long_text_is_drawn_smaller_until_it_cannot_be_read():
    long = draw_label("Made by a computer, nobody said this", "top-left", (256, 256))
    assert long.kept.shape[0] < draw_label(TEXT, "top-left", (256, 256)).kept.shape[0]
    for text, size in ((TEXT, (32, 32)), ("word " * 30, (256, 256))):
        with pytest.raises(InputError, match=f"the label does not fit into {size[0]} x {size[1]} pixels; shorten it"):
            draw_label(text, "top-left", size)


def test_a_character_without_a_glyph_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="the built-in font, which has ASCII only, cannot draw 'éü'; change the label"):
        draw_label("Généré, künstlich", "top-left", (256, 256))
    font = tmp_path / "font.ttf"
    for data, message in ((None, "No such file"), (b"", "not a font"), (b"text", "not a font")):
        if data is not None:
            font.write_bytes(data)
        with pytest.raises(InputError, match=rf"font\.ttf cannot be used \({message}.*give a TrueType"):
            draw_label(TEXT, "top-left", (256, 256), font)


def test_a_given_font_draws_its_characters():
    try:
        path = Path(str(ImageFont.truetype("DejaVuSans.ttf").path))
    except OSError:
        pytest.skip("this system has no DejaVu Sans")
    for text in ("Généré par IA", "Създадено от ИИ"):
        drawn = draw_label(text, "top-left", (512, 512), path)
        assert drawn.colour.max() > 200
    with pytest.raises(InputError, match=r"DejaVuSans\.ttf cannot draw '人'"):
        draw_label("人", "top-left", (512, 512), path)


def test_the_credentials_say_what_the_label_says(tmp_path: Path):
    audio = tmp_path / "speech.wav"
    write_wav(audio, np.zeros(1600))
    options = {"identity": audio, "audio": audio}
    said = film_origin(FilmOptions(**options, label=TEXT), "w", "0", "t").statement.extra
    assert said == {"label": TEXT}
    assert film_origin(FilmOptions(**options), "w", "0", "t").statement.extra == {}


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "a\x00"])
def test_a_label_is_one_line(text: str):
    with pytest.raises(InputError, match="a label must be one line of text that is not empty"):
        FilmOptions(identity=Path("a"), audio=Path("b"), label=text)


@pytest.mark.parametrize("level", [0, 120, 255])
def test_a_transparent_frame_shows_the_same_label(level: int):
    """Labelled before or after a background is put behind it, the result is the same."""
    frame = np.random.default_rng(2).integers(0, 256, (128, 128, 4)).astype(np.uint8)
    label = draw_label("AI-generated", "bottom-right", (128, 128))

    def before_level(rgba: np.ndarray) -> np.ndarray:
        alpha = rgba[..., 3:] / 255
        return rgba[..., :3] * alpha + level * (1 - alpha)

    wanted = label.blend(np.rint(before_level(frame)).astype(np.uint8)).astype(float)
    assert np.abs(before_level(label.blend(frame)) - wanted).max() < 2
    assert np.array_equal(label.blend(frame)[:20], frame[:20])
