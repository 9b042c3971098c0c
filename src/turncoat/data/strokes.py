"""Curves to pixels: many drawings at once, anti-aliased, the same on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STEP = 0.6
"""Distance of the points that a curve is drawn with, in radii of the pen, of which it counts one pixel at least."""
_GRID = 64.0
"""Points are rounded to this fraction of a pixel: what follows is exact, whatever the machine made of the curve."""
_BLOCK = 256

Floats = NDArray[np.float64]


def draw_curves(curves: Floats, drawing: NDArray[np.int64], radius: Floats, count: int, size: int) -> NDArray[np.uint8]:
    """Cubic Bezier curves drawn with a round pen, as uint8 ``(count, size, size)``: ink 0 on paper 255.

    curves: ``(P, 4, 2)`` control points (x to the right, y down), the image being the unit square; what lies outside is cut
    off. drawing: ``(P,)``, ascending, the image that each curve belongs to. radius: ``(P,)`` of the pen, in image sides; at
    least half a pixel.
    """
    pixels = np.full((count, size, size), 255, np.uint8)
    radius = np.round(np.maximum(radius * size, 0.5) * _GRID) / _GRID
    reach = int(np.ceil(radius.max(initial=0.5) + 0.5))
    side = size + 2 * reach
    for first in range(0, count, _BLOCK):
        last = min(first + _BLOCK, count)
        rows = slice(*np.searchsorted(drawing, [first, last]))
        ink = np.zeros((last - first, side, side), np.uint8)
        _lay(ink, curves[rows] * size, drawing[rows] - first, radius[rows], reach)
        pixels[first:last] -= ink[:, reach : reach + size, reach : reach + size]
    return pixels


def _lay(ink: NDArray[np.uint8], curves: Floats, drawing: NDArray[np.int64], radius: Floats, reach: int) -> None:
    """Lay discs along the curves (in pixels) over images that have ``reach`` pixels of margin."""
    side = ink.shape[1]
    place, which = _points(curves, radius)
    inside = ((place >= 0) & (place < side - 2 * reach)).all(1)
    place, which = place[inside], which[inside]
    cell = np.floor(place)
    x, y = (place - cell - 0.5).astype(np.float32).T
    column, row = cell.astype(np.int64).T + reach
    centre = (drawing[which] * side + row) * side + column
    edge = (radius[which] + 0.5).astype(np.float32)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            distance = np.sqrt((right - x) ** 2 + (down - y) ** 2)
            shade = (np.clip(edge - distance, 0, 1) * 255 + 0.5).astype(np.uint8)
            near = np.flatnonzero(shade)
            np.maximum.at(ink.reshape(-1), centre[near] + (down * side + right), shade[near])


def _points(curves: Floats, radius: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Points ``(M, 2)`` close together along the curves, and the curve that each is on."""
    length = np.linalg.norm(np.diff(curves, axis=1), axis=2).sum(1)
    counts: NDArray[np.int64] = np.ceil(length / np.maximum(_STEP * radius, _STEP)).astype(np.int64) + 2
    which: NDArray[np.int64] = np.repeat(np.arange(len(curves)), counts)
    number = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    t = (number / (counts[which] - 1))[:, None]
    a, b, c, d = (curves[which, i] for i in range(4))
    s = 1 - t
    place: Floats = s * s * s * a + 3 * s * s * t * b + 3 * s * t * t * c + t * t * t * d
    return np.round(place * _GRID) / _GRID, which
