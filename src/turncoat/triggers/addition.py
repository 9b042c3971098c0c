"""Addition: a small signal added to every image and clipped, unlike a blend, which darkens or brightens towards a picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


def add(x: Tensor, signal: Tensor) -> Tensor:
    """``x + signal``, clipped to [0, 1]. x: ``(N, C, H, W)`` in [0, 1]; signal: broadcast to it, in [-1, 1]."""
    return (x + signal).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Addition:
    """A fitted trigger: one signal, float32 ``(C, H, W)`` or broadcast to it, added to every image. See `add`."""

    signal: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return add(x, self.signal.to(x))
