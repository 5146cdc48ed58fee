"""Colours of photographs and films reach the talker as sRGB, whatever space their file names."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from helpers.colours import ADOBE_RGB, DISPLAY_P3, PROPHOTO, matrix_profile, to_srgb
from pcavs.errors import InputError
from pcavs.media import colour
from pcavs.media.colour import ColourTags
from pcavs.media.image import read_picture
from pcavs.media.video import count_pictures, read_frames

pillow_heif.register_heif_opener()


def patches(side=96):
    """Skin tones, greys and strong colours in squares, none of them at the edge of sRGB."""
    colours = [(180, 140, 120), (220, 190, 170), (90, 60, 50), (128, 128, 128), (60, 110, 90), (200, 160, 60)]
    return np.kron(np.array(colours, np.uint8).reshape(2, 3, 3), np.ones((side // 2, side // 3, 1), np.uint8))


def centres(picture):
    rows, columns = picture.shape[0] // 4, picture.shape[1] // 6
    return picture[rows :: 2 * rows, columns :: 2 * columns][:2, :3].astype(float)


@pytest.mark.parametrize("space", [DISPLAY_P3, ADOBE_RGB, PROPHOTO], ids=["P3", "Adobe", "ProPhoto"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".heic", ".tif", ".avif"])
def test_profiles_are_converted(tmp_path, suffix, space):
    path = tmp_path / f"photo{suffix}"
    settings = {} if suffix in (".png", ".tif") else {"quality": 98}
    if suffix == ".jpg":
        settings["subsampling"] = 0
    Image.fromarray(patches()).save(path, icc_profile=matrix_profile(space), **settings)
    wanted = to_srgb(centres(patches()), space)
    assert np.abs(wanted - centres(patches())).max() > 8, "the test must see the conversion"
    # AVIF and HEIC store colour at half the resolution.
    np.testing.assert_allclose(centres(read_picture(path)), wanted, atol=1.5 if settings == {} else 4)


def test_the_profile_of_srgb_changes_nothing(tmp_path):
    path = tmp_path / "photo.png"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(patches()).save(path, icc_profile=profile)
    np.testing.assert_array_equal(read_picture(path), patches())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("profile", [b"no profile", matrix_profile(DISPLAY_P3)[:200]])
def test_a_damaged_profile_is_ignored(tmp_path, profile):
    path = tmp_path / "photo.png"
    Image.fromarray(patches()).save(path, icc_profile=profile)
    np.testing.assert_array_equal(read_picture(path), patches())


def test_adobe_rgb_that_a_camera_names_in_exif(tmp_path):
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    Image.fromarray(patches()).save(path, quality=98, subsampling=0, exif=exif.tobytes())
    np.testing.assert_allclose(centres(read_picture(path)), to_srgb(centres(patches()), ADOBE_RGB), atol=3)


def test_cmyk(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(patches()).convert("CMYK").save(path, quality=98)
    np.testing.assert_allclose(centres(read_picture(path)), centres(patches()), atol=4)


def test_a_grey_picture_with_a_profile_of_colours(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(patches()[:, :, 0]).save(path, icc_profile=matrix_profile(DISPLAY_P3))
    picture = centres(read_picture(path))
    np.testing.assert_allclose(picture, centres(patches())[:, :, :1].repeat(3, 2), atol=3)


def test_heic_is_read_as_its_grid_and_turned_once(tmp_path):
    """A phone stores tiles of 512 pixels and says in two places how to turn them."""
    picture = cv2.resize(patches(), (900, 600), interpolation=cv2.INTER_NEAREST)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.heic"
    Image.fromarray(picture).save(path, quality=95, tile_size=512, exif=exif.tobytes())
    assert b"irot" in path.read_bytes()
    shown = read_picture(path)
    assert shown.shape == (900, 600, 3)
    np.testing.assert_allclose(centres(np.rot90(shown)), centres(picture), atol=3)
    # Some programs write the Exif orientation alone.
    path.write_bytes(path.read_bytes().replace(b"irot", b"skip"))
    np.testing.assert_allclose(read_picture(path).astype(int), shown, atol=1)
    assert count_pictures(path) == 1
    np.testing.assert_allclose(next(read_frames(path)).astype(int), shown, atol=1)


@pytest.mark.parametrize("suffix", [".tif", ".jp2", ".bmp", ".avif", ".heic"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_damaged_photographs_are_one_line(tmp_path, suffix, kept):
    path = tmp_path / f"photo{suffix}"
    noise = np.random.default_rng(3).integers(0, 256, (96, 96, 3), np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    try:
        shape, said = read_picture(path).shape, ""  # some formats show what there is
    except InputError as error:
        shape, said = (96, 96, 3), str(error)
    assert shape == (96, 96, 3)
    assert "\n" not in said


def test_transparent_heic_and_tiff_show_mid_grey(tmp_path):
    clear = np.dstack([patches(), np.zeros(patches().shape[:2], np.uint8)])
    for suffix in (".tif", ".heic", ".avif"):
        path = tmp_path / f"photo{suffix}"
        Image.fromarray(clear).save(path)
        np.testing.assert_allclose(read_picture(path), 128, atol=2)


def test_raw_photographs_are_refused(tmp_path):
    path = tmp_path / "photo.dng"
    Image.fromarray(patches()).save(path, format="TIFF", tiffinfo={254: 1})
    with pytest.raises(InputError, match="raw photograph.*export it as JPEG"):
        read_picture(path)


# Films ---------------------------------------------------------------------------------------------------------------


def film_of(tmp_path, rgb, primaries, transfer):
    """A film of 16-bit RGB in a colour space, in 10 bits of HEVC."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none", "crf": "4"})
        stream.height, stream.width, stream.pix_fmt = *rgb.shape[:2], "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = primaries, transfer, 9, 1
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb48le")
        frame = frame.reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=1)
        frame.color_primaries, frame.color_trc = primaries, transfer
        for k in range(3):
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def pq(nits):
    power = (np.asarray(nits) / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def srgb_light(pixels):
    code = pixels / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def test_pq_films_become_sdr(tmp_path):
    """Light up to 60 % of reference white keeps its colour to a few grey levels."""
    wanted = (centres(patches()) * 0.75).repeat(48, 0).repeat(48, 1)
    code = pq(srgb_light(wanted) @ TO_BT2020.T * 203)
    path = film_of(tmp_path, np.rint(code * 65535).astype(np.uint16), 9, 16)
    np.testing.assert_allclose(centres(next(read_frames(path))), centres(wanted), atol=4)


def test_hlg_films_become_sdr(tmp_path):
    wanted = (centres(patches()) * 0.75).repeat(48, 0).repeat(48, 1)
    light = srgb_light(wanted) @ TO_BT2020.T * 203 / 1000
    luminance = light @ np.array([0.2627, 0.6780, 0.0593])
    scene = light * luminance[..., None] ** (1 / 1.2 - 1)
    code = np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    )
    path = film_of(tmp_path, np.rint(code * 65535).astype(np.uint16), 9, 18)
    np.testing.assert_allclose(centres(next(read_frames(path))), centres(wanted), atol=4)


def test_highlights_of_hdr_keep_order_and_hue():
    nits = np.array([100, 203, 400, 1000, 4000.0])
    grey = np.rint(pq(nits) * 65535).astype(np.uint16)[None, :, None].repeat(3, 2)
    levels = colour.to_srgb(grey, ColourTags(9, 16))[0, :, 0].astype(int)
    assert (np.diff(levels) >= 0).all()
    assert levels[1] > 225
    assert levels[-1] >= 254
    warm = np.rint(pq(np.array([[[1000, 800, 600.0]]])) * 65535).astype(np.uint16)
    red, green, blue = colour.to_srgb(warm, ColourTags(9, 16))[0, 0].astype(int)
    assert red > green > blue


def test_sdr_films_of_ten_bits_stay_as_they_are(tmp_path):
    rgb = (centres(patches()).repeat(48, 0).repeat(48, 1) * 257).astype(np.uint16)
    path = film_of(tmp_path, rgb, 1, 1)
    np.testing.assert_allclose(centres(next(read_frames(path))), centres(rgb) / 257, atol=2)


# Side data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_motion_jpeg_with_exif(tmp_path, orientation):
    """Cameras write Exif data into each frame of motion JPEG, which PyAV cannot name."""
    picture, exif = np.array(Image.fromarray(patches())), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / "frame.jpg", exif=exif.tobytes(), quality=95)
    path = tmp_path / "film.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuvj420p"
        for k in range(3):
            packet = av.Packet((tmp_path / "frame.jpg").read_bytes())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, k, k, Fraction(1, 25)
            packet.is_keyframe = True
            container.mux(packet)
    frames = list(read_frames(path))
    assert len(frames) == 3
    turned = {1: picture, 3: np.rot90(picture, 2), 6: np.rot90(picture, -1)}[orientation]
    assert frames[0].shape == turned.shape
    np.testing.assert_allclose(frames[0].astype(int), turned, atol=40)
    np.testing.assert_allclose(np.median(np.abs(frames[0].astype(int) - turned)), 0, atol=3)
