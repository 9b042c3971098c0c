"""Selection: which samples of an eligible pool are poisoned, and the rate's accounting."""

from __future__ import annotations

import torch
from torch import Tensor

from turncoat.errors import TurncoatError


def choose(eligible: Tensor, rate: float, generator: torch.Generator, what: str) -> Tensor:
    """Choose ``round(rate * N)`` of the eligible samples at random.

    eligible: bool ``(N,)``. Returns bool ``(N,)``. The rate counts against *all* N samples; a pool that is too small, or a rate
    that comes to no sample, is an error and never clamped.
    """
    total, pool = len(eligible), eligible.nonzero().squeeze(1)
    wanted = round(rate * total)
    if wanted == 0:
        raise TurncoatError(f"{what}: a rate of {rate:g} of {total:,} images poisons none; use at least {1 / total:.2g}")
    if wanted > len(pool):
        raise TurncoatError(
            f"{what}: a rate of {rate:g} needs {wanted:,} of {total:,} images, but only {len(pool):,} are eligible; "
            f"use at most {int(len(pool) / total * 1e4) / 1e4:g}"
        )
    mask = torch.zeros(total, dtype=torch.bool)
    mask[pool[torch.randperm(len(pool), generator=generator)[:wanted]]] = True
    return mask
