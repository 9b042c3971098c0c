"""Choosing how strong a repair is, by clean validation images alone: never by test images, never by a trigger's success."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn

from turncoat.errors import TurncoatError
from turncoat.repair.tolerance import Tolerance
from turncoat.train.engine import Diverged


def strongest(
    strengths: Iterable[float], make: Callable[[float], nn.Module], tolerance: Tolerance
) -> tuple[float, nn.Module, float]:
    """The first strength whose network loses no more than the margin on the validation images; the most accurate if none is.

    strengths: the strongest first; one that diverges is passed over. Returns strength, network, accuracy.
    """
    best: tuple[float, nn.Module, float] | None = None
    for strength in strengths:
        try:
            network = make(strength)
        except Diverged:
            continue
        found, borne = tolerance.within(network)
        if best is None or found > best[2]:
            best = strength, network, found
        if borne:
            return strength, network, found
    if best is None:
        raise TurncoatError("the repair diverged at every strength; give it lower rates")
    return best
