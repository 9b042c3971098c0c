"""Blending: a pattern over the whole image, faintly."""

from __future__ import annotations

from turncoat.triggers.base import Overlay
from turncoat.triggers.patterns import Pattern, Shape


def blend(pattern: Pattern, shape: Shape, alpha: float) -> Overlay:
    """``(1 - alpha) * image + alpha * pattern`` for images of ``shape`` (C, H, W); alpha in (0, 1]."""
    picture, opacity = pattern.render(shape)
    return Overlay(picture, opacity * alpha)
