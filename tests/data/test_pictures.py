"""One image file to pixels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from turncoat.data.picture import decode, read_header


def saved(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


def pixels(image: Image.Image, kind: str = "PNG", *, grey: bool = False, **settings: Any) -> np.ndarray:
    return decode(saved(image, kind, **settings), "x", None, grey)


def test_rgb_pixels_come_back_channels_first(make: Any) -> None:
    array = make.noise(0, 5, 7)
    assert np.array_equal(pixels(Image.fromarray(array)), array.transpose(2, 0, 1))


def test_header_tells_size_and_colour(make: Any) -> None:
    assert read_header(make.encoded(0, 5, 7), "x")[1:] == ((5, 7), False)
    assert read_header(make.encoded(0, 5, 7, channels=1), "x")[1:] == ((5, 7), True)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 0x8000, 0xFFFF]], np.uint16)
    assert pixels(Image.fromarray(values), grey=True).tolist() == [[[0, 1, 128, 255]]]


def test_transparent_pixels_are_white_and_not_what_hides_below() -> None:
    image = Image.new("RGBA", (2, 1), (10, 20, 30, 255))
    image.putpixel((1, 0), (10, 20, 30, 0))
    assert pixels(image)[:, 0].T.tolist() == [[10, 20, 30], [255, 255, 255]]


def test_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 9, 9, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert pixels(image, transparency=0)[:, 0].T.tolist() == [[255, 255, 255], [40, 50, 60]]


def test_cmyk_becomes_rgb() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    red, green, blue = pixels(cyan, "JPEG", quality=100)[:, 4, 4].tolist()
    assert red < 10
    assert green > 245
    assert blue > 245


def test_black_and_white_is_grey() -> None:
    assert pixels(Image.new("1", (2, 2), 1), grey=True).tolist() == [[[255, 255], [255, 255]]]
    assert read_header(saved(Image.new("1", (2, 2))), "x").grey


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_honoured(kind: str) -> None:
    image = Image.new("RGB", (16, 8), "black")
    image.paste("white", (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    data = saved(image, kind, exif=exif)
    upright = decode(data, "x", None, False)
    assert upright.shape == (3, 16, 8)
    assert upright[:, :6].min() > 200
    assert upright[:, 10:].max() < 50
    assert read_header(data, "x").size == (16, 8)


def test_resizing_is_antialiased_and_takes_height_first() -> None:
    stripes = np.zeros((8, 64), np.uint8)
    stripes[:, ::2] = 255
    small = decode(saved(Image.fromarray(stripes)), "x", (4, 8), True)
    assert small.shape == (1, 4, 8)
    assert np.abs(small.astype(int) - 128).max() < 20


def test_large_jpeg_is_resized_like_any_other_file() -> None:
    ramp = np.tile(np.linspace(0, 255, 512).astype(np.uint8), (512, 1))
    image = Image.fromarray(ramp)
    as_jpeg = decode(saved(image, "JPEG", quality=95), "x", (32, 32), True)
    as_png = decode(saved(image), "x", (32, 32), True)
    assert np.abs(as_jpeg.astype(int) - as_png).max() <= 4


def test_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("L", (3, 3), level) for level in (50, 200)]
    assert set(pixels(frames[0], "GIF", save_all=True, append_images=frames[1:]).ravel().tolist()) == {50}
