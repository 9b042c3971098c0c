"""Sample images as PNG data URIs, and the difference a trigger makes, enlarged."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]

FACTORS = (100, 50, 20, 10, 5, 2, 1)
LARGEST = 192
"""Larger images are shrunk to this many pixels for the page."""


@dataclass(frozen=True)
class Pictures:
    """One test image as data URIs; clean and difference are None where only the triggered image is shown."""

    triggered: str
    clean: str | None = None
    difference: str | None = None

    @property
    def size(self) -> int:
        """Characters that it takes in the page."""
        return len(self.triggered) + len(self.clean or "") + len(self.difference or "")


def amplification(clean: Images, triggered: Images) -> int:
    """The largest of `FACTORS` by which no difference (uint8 levels) leaves the scale around mid-grey; at least 1."""
    largest = int(np.abs(triggered.astype(np.int16) - clean.astype(np.int16)).max(initial=0))
    return next((factor for factor in FACTORS if largest * factor <= 127), 1) if largest else 1


def difference(clean: Images, triggered: Images, factor: int) -> Images:
    """Triggered minus clean, times ``factor``, around mid-grey: 128 is no change, lighter is more, darker is less."""
    change = triggered.astype(np.int32) - clean.astype(np.int32)
    return np.clip(128 + factor * change, 0, 255).astype(np.uint8)


def data_uri(image: Images, largest: int = LARGEST) -> str:
    """A PNG of one image, uint8 ``(1 or 3, H, W)``; shrunk where it is larger than ``largest`` pixels."""
    pixels = np.ascontiguousarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    picture = Image.fromarray(pixels)
    if max(picture.size) > largest:
        picture.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def make_pictures(clean: Images, triggered: Images, factor: int, whole: int, budget: int) -> list[Pictures]:
    """As many samples, in order, as fit into ``budget`` characters, but at least one; the first ``whole`` three ways.

    clean, triggered: uint8 ``(k, C, H, W)``. factor: of the `difference`.
    """
    made: list[Pictures] = []
    left, largest = budget, LARGEST if budget > 300_000 else LARGEST // 2
    for index, (before, after) in enumerate(zip(clean, triggered, strict=True)):
        pictures = Pictures(data_uri(after, largest))
        if index < whole:
            changed = difference(before, after, factor)
            pictures = Pictures(pictures.triggered, data_uri(before, largest), data_uri(changed, largest))
        left -= pictures.size
        if made and left < 0:
            break
        made.append(pictures)
    return made


def display_size(height: int, width: int, side: int = 96) -> tuple[int, int]:
    """Width and height on the page: a whole multiple where the image is small, so that its pixels stay square and sharp."""
    largest = max(height, width)
    scale = side // largest if largest <= side else side / largest
    return round(width * scale), round(height * scale)
