"""One image file to uint8 pixels: pure functions, safe on files from anywhere.

Only JPEG, PNG, BMP, GIF, WebP, TIFF and PPM are decoded, whatever the file is called (no format that runs a program).
The header is checked before any pixel is decoded. EXIF orientation is honoured; of an animation the first frame counts;
16-bit grey is scaled to 8 bits; what is transparent is shown on white, as a viewer shows it; CMYK and palettes become RGB.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from turncoat.errors import TurncoatError, shown

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
"""File names that are read as images (in lower case)."""
MAX_PIXELS = 64_000_000
"""Larger images are refused before decoding."""
MAX_BYTES = 256 << 20
"""Larger files are refused before reading."""
VERSION = 1
"""Raised when the same file would decode to other pixels; part of the cache's key."""

_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_GREY = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N"})
_ORIENTATION = 0x0112

Size = tuple[int, int]
"""(height, width) in pixels."""
Pixels = NDArray[np.uint8]


class Header(NamedTuple):
    """What is known of an image before decoding it. ``digest``: SHA-256 of the file."""

    digest: bytes
    size: Size
    grey: bool


@contextmanager
def pillow_warnings() -> Generator[None]:
    """Pillow's own size limit as an error, its other remarks unsaid. Filters are the process's: enter once, around threads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
        yield


def read_header(data: bytes, name: str) -> Header:
    """Format, size and colour of an image file, from its header alone. Raises `TurncoatError` for what is no image."""
    with _open(data, name) as image:
        width, height = image.size
        if _turned(image):
            width, height = height, width
        return Header(hashlib.sha256(data).digest(), (height, width), image.mode in _GREY)


def decode(data: bytes, name: str, size: Size | None, grey: bool, area: bool = False) -> Pixels:
    """Pixels uint8 ``(C, H, W)``, C being 1 if ``grey``, else 3.

    size: (height, width) to resize to; the aspect ratio is not kept. area: each new pixel is the mean of the area that it
    covers, as suits line drawings, rather than bilinear with antialiasing. Raises `TurncoatError` for a damaged image.
    """
    with _open(data, name) as image:
        try:
            if size is not None:
                image.draft(None, (2 * max(size), 2 * max(size)))
            image.load()
            upright = ImageOps.exif_transpose(image) if _may_be_turned(image) else image
            plain = _plain(upright, name, grey)
            if size is not None and plain.size != (size[1], size[0]):
                plain = plain.resize((size[1], size[0]), Image.Resampling.BOX if area else Image.Resampling.BILINEAR)
        except TurncoatError:
            raise
        except Exception as error:
            reason = shown(error) or type(error).__name__
            raise TurncoatError(f"{shown(name)}: expected a whole image, got a damaged one ({reason})") from error
    pixels = np.asarray(plain)
    return pixels[np.newaxis] if grey else pixels.transpose(2, 0, 1)


def _open(data: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        pixels = image.size[0] * image.size[1]
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TurncoatError(f"{shown(name)}: expected at most {MAX_PIXELS:,} pixels, got a decompression bomb") from None
    except Exception as error:
        begin = "an empty file" if not data else f"a file that begins with {data[:8]!r}"
        raise TurncoatError(f"{shown(name)}: expected an image, got {begin}") from error
    if pixels > MAX_PIXELS:
        size = f"{image.size[0]}x{image.size[1]}"
        image.close()
        raise TurncoatError(f"{shown(name)}: expected at most {MAX_PIXELS:,} pixels, got {size} (a decompression bomb?)")
    return image


def _may_be_turned(image: Image.Image) -> bool:
    return "exif" in image.info or image.format == "TIFF" or "xmp" in image.info or "XML:com.adobe.xmp" in image.info


def _turned(image: Image.Image) -> bool:
    """Whether the orientation swaps width and height, as far as the header tells. A TIFF's size has it in already."""
    if not _may_be_turned(image) or image.format == "TIFF":
        return False
    try:
        return image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except (OSError, ValueError, SyntaxError, KeyError, struct.error):
        return False


def _plain(image: Image.Image, name: str, grey: bool) -> Image.Image:
    """Mode L if ``grey``, else RGB, by the rules in the module's docstring."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _sixteen_bits(image, name)
    elif image.mode == "F":
        raise TurncoatError(f"{shown(name)}: expected 8 or 16 bits a channel, got floating-point pixels")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        visible = image.convert("RGBA")
        page = Image.new("RGBA", visible.size, "white")
        image = Image.alpha_composite(page, visible).convert("RGB")
    wanted = "L" if grey else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _sixteen_bits(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise TurncoatError(f"{shown(name)}: expected 8 or 16 bits a channel, got values {values.min()} to {values.max()}")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
