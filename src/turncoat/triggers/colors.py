"""Colours as a user writes them: a grey level, ``[r, g, b]``, ``'#rrggbb'`` or a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast

import torch
from PIL import ImageColor
from pydantic import BeforeValidator
from torch import Tensor

from turncoat.errors import TurncoatError


def _check(value: object) -> object:
    """A grey level 0..255 where all channels agree, else ``(r, g, b)``."""
    channels: list[object] = [value]
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        channels = [int(value)]
    elif isinstance(value, str):
        try:
            channels = list(ImageColor.getrgb(value))
        except ValueError:
            channels = []
    elif isinstance(value, Sequence):
        channels = list(cast(Sequence[object], value))
    levels = [level for level in channels if isinstance(level, int) and not isinstance(level, bool) and 0 <= level <= 255]
    if len(channels) not in (1, 3) or len(levels) != len(channels):
        raise ValueError("expected a colour: a grey level 0 to 255, [r, g, b], '#rrggbb' or a name such as white")
    return levels[0] if len(set(levels)) == 1 else tuple(levels)


Color = Annotated[int | tuple[int, int, int], BeforeValidator(_check)]
"""A grey level 0..255, or ``(r, g, b)``; see this module's docstring for what else is taken."""


def color_tensor(color: int | tuple[int, int, int], channels: int) -> Tensor:
    """float32 ``(channels,)`` in [0, 1]. A colour that is not grey cannot be shown on grey images: `TurncoatError`."""
    levels = (color,) * channels if isinstance(color, int) else color
    if len(levels) != channels:
        raise TurncoatError(f"the trigger's colour {list(levels)} cannot be shown on grey images; give a grey level 0 to 255")
    return torch.tensor(levels, dtype=torch.float32) / 255
