import struct
import zlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.media import still
from pcavs.media.image import read_picture
from pcavs.media.image_header import read_header
from unit.media.making import FilmMaker, numbered


def photo(height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth, and different in every corner; RGB."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, 255 - x * 255 // width], axis=2).astype(np.uint8)


def save(path: Path, rgb: np.ndarray, *flags: int) -> Path:
    stored = rgb if rgb.ndim == 2 else rgb[:, :, [2, 1, 0, *range(3, rgb.shape[2])]]
    assert cv2.imwrite(str(path), stored, list(flags))
    return path


def exif(orientation: int, order: str = "<") -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def with_exif(path: Path, tags: bytes) -> Path:
    data = path.read_bytes()
    if path.suffix == ".jpg":
        body = b"Exif\0\0" + tags
        data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    elif path.suffix == ".png":
        chunk = b"eXIf" + tags
        data = data[:33] + struct.pack(">I", len(tags)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    else:
        tags += b"\0" * (len(tags) % 2)
        height, width = cv2.imread(str(path)).shape[:2]
        extended = struct.pack("<B3x", 8) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        parts = b"VP8X" + struct.pack("<I", 10) + extended + data[12:] + b"EXIF" + struct.pack("<I", len(tags)) + tags
        data = b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("suffix", "close"), [(".png", 0), (".jpg", 12), (".webp", 12), (".bmp", 0)])
def test_formats(tmp_path: Path, suffix: str, close: int):
    picture = read_picture(save(tmp_path / f"face{suffix}", photo()))
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    np.testing.assert_allclose(picture.astype(int), photo(), atol=close)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, suffix: str, order: str, orientation: int):
    path = with_exif(save(tmp_path / f"face{suffix}", photo()), exif(orientation, order))
    upright = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: np.rot90(p, 2),
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, -1),
        7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
        8: lambda p: np.rot90(p, 1),
    }[orientation](photo())
    np.testing.assert_allclose(read_picture(path).astype(int), upright, atol=0 if suffix == ".png" else 12)


@pytest.mark.parametrize("tags", [b"", b"II*\0\xff\xff\xff\xff", b"not exif at all", exif(99)])
def test_broken_exif_is_upright(tmp_path: Path, tags: bytes):
    path = with_exif(save(tmp_path / "face.jpg", photo()), tags)
    assert read_picture(path).shape == (48, 64, 3)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_shows_mid_grey(tmp_path: Path, suffix: str):
    alpha = np.zeros((48, 64, 1), np.uint8)
    alpha[:, 32:] = 255
    path = save(tmp_path / f"face{suffix}", np.concatenate([photo(), alpha], axis=2))
    picture = read_picture(path).astype(int)
    np.testing.assert_array_equal(picture[:, :28], 128)
    np.testing.assert_allclose(picture[:, 36:], photo()[:, 36:], atol=0 if suffix == ".png" else 12)


def test_half_transparent_is_half_way(tmp_path: Path):
    stored = np.full((8, 8, 4), 255, np.uint8)
    stored[..., 3] = 128
    np.testing.assert_allclose(read_picture(save(tmp_path / "face.png", stored)), 192, atol=1)


def test_sixteen_bits(tmp_path: Path):
    path = save(tmp_path / "face.png", photo().astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_picture(path), photo())
    deep = np.concatenate([photo(), photo()[:, :, :1] * 0], axis=2).astype(np.uint16) * 257
    assert (read_picture(save(tmp_path / "clear.png", deep)) == 128).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_greyscale(tmp_path: Path, suffix: str):
    picture = read_picture(save(tmp_path / f"face{suffix}", photo()[:, :, 0]))
    assert picture.shape == (48, 64, 3)
    np.testing.assert_allclose(picture[:, :, 2].astype(int), photo()[:, :, 0], atol=3)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(width: int, height: int, depth: int, colour: int, rows: bytes, *between: bytes) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(between) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def test_grey_with_transparency_and_palettes(tmp_path: Path):
    path = tmp_path / "face.png"
    path.write_bytes(_png(2, 1, 8, 4, bytes([0, 200, 255, 200, 0])))
    np.testing.assert_array_equal(read_picture(path), [[[200] * 3, [128] * 3]])
    colours = _chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    path.write_bytes(_png(2, 1, 8, 3, bytes([0, 0, 1]), colours, _chunk(b"tRNS", bytes([255, 0]))))
    np.testing.assert_array_equal(read_picture(path), [[[10, 20, 30], [128] * 3]])
    path.write_bytes(_png(2, 1, 1, 0, bytes([0, 0b01000000])))
    np.testing.assert_array_equal(read_picture(path), [[[0] * 3, [255] * 3]])


def test_large_pictures_are_reduced(tmp_path: Path):
    for suffix in (".png", ".jpg"):
        path = save(tmp_path / f"face{suffix}", photo(300, 1200))
        picture = read_picture(path, max_side_px=256)
        assert picture.shape == (64, 256, 3)
        wanted = cv2.resize(photo(300, 1200), (256, 64), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(picture.astype(int), wanted, atol=8)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_size_is_read_from_the_header(tmp_path: Path, progressive: bool):
    path = save(tmp_path / "face.jpg", photo(), cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive))
    header = read_header(path)
    assert header is not None
    assert (header.width, header.height, header.is_progressive) == (64, 48, progressive)


def test_a_huge_png_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(still, "_decode", None)
    path = tmp_path / "huge.png"
    path.write_bytes(_png(20_000, 20_000, 8, 2, b""))
    with pytest.raises(InputError, match=r"huge.png is 20000 x 20000 pixels and would take 1\.2 GB to decode; save it"):
        read_picture(path)


def test_transparent_colours_do_not_bleed_when_reduced(tmp_path: Path):
    stored = np.zeros((64, 64, 4), np.uint8)
    stored[:, ::2] = (255, 255, 255, 255)
    stored[:, 1::2] = (255, 0, 0, 0)
    picture = read_picture(save(tmp_path / "face.png", stored), max_side_px=32)
    np.testing.assert_allclose(picture, 192, atol=1)


def test_a_huge_jpeg_is_decoded_small():
    header = still.ImageHeader(kind="JPEG", width=20_000, height=20_000, bytes_per_pixel=3)
    assert still._choose_reduction(header, 2048) == 8
    still._check_size(Path("huge.jpg"), header, 8)
    progressive = still.ImageHeader(kind="JPEG", width=20_000, height=20_000, bytes_per_pixel=6, is_progressive=True)
    with pytest.raises(InputError, match=r"huge.jpg .* would take 2\.4 GB"):
        still._check_size(Path("huge.jpg"), progressive, 8)


def test_a_huge_picture_of_another_format_is_refused(tmp_path: Path):
    path = tmp_path / "huge.bmp"
    size = 20_000
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, size, size, 1, 24, 0, 0, 0, 0, 0, 0)
    path.write_bytes(head + bytes(1000))
    with pytest.raises(InputError, match=r"huge\.bmp .*(million pixels|no frame that can be decoded)"):
        read_picture(path)


def test_a_film_gives_its_first_frame(make_film: FilmMaker):
    path = make_film("film.mp4", [Fraction(k, 25) for k in range(5)], lambda k: numbered(k + 5))
    np.testing.assert_allclose(read_picture(path).astype(int), numbered(5), atol=16)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("kept", [17, 26, 60])
def test_damaged_pictures_are_refused_in_one_line(tmp_path: Path, suffix: str, kept: int):
    path = save(tmp_path / f"face{suffix}", photo())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="is a damaged image; open it") as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_picture(tmp_path: Path):
    empty, text = tmp_path / "empty.png", tmp_path / "text.jpg"
    empty.touch()
    text.write_text("no picture\n" * 9)
    cases = {
        tmp_path / "none.png": "cannot be opened",
        tmp_path: "is a folder|Is a directory",
        empty: "is empty",
        text: "text.jpg",
    }
    for path, message in cases.items():
        with pytest.raises(InputError, match=message):
            read_picture(path)
