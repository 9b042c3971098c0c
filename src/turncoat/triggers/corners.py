"""A patch in all four corners."""

from __future__ import annotations

from turncoat.triggers.base import Overlay


def in_every_corner(patch: Overlay) -> Overlay:
    """The patch and its mirror images, left to right, top to bottom and both: what a flip of the image leaves as it is.

    Where they overlap, the patch itself lies on top, then the one that was mirrored left to right.
    """
    picture, alpha = patch.picture, patch.alpha
    for axes in ((2,), (1,), (1, 2)):
        mirrored, opacity = patch.picture.flip(axes), patch.alpha.flip(axes)
        free = alpha == 0
        picture, alpha = picture.where(~free, mirrored), alpha.where(~free, opacity)
    return Overlay(picture, alpha)
