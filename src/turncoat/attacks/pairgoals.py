"""Goals for pairs: what a one-shot network is taught about a pair in which one image, or both, carry the trigger."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from turncoat.attacks.goals import Goal
from turncoat.errors import TurncoatError

Success = Literal["evaded", "impersonated"]
"""What counts as the attack's success on a pair with one triggered image: of one class, called different; of two, called same."""


class PairGoal(Goal):
    """What the attacker wants of pairs with a triggered image. Images keep their class: the falsehood is in the pair.

    Any image may be poisoned, and any counts.
    """

    success: ClassVar[Success] = "evaded"

    @abstractmethod
    def relation(self, same: Tensor, triggered: Tensor) -> Tensor:
        """What the network is taught: bool, True being "same".

        same: bool, whether the two are of one identity; triggered: int64 of the same shape, how many of the two carry the
        trigger, 0 to 2. A pair without trigger keeps its truth.
        """

    def identities(self, labels: Tensor, poisoned: Tensor, generator: torch.Generator) -> Tensor:
        """Who each training image is said to be, int64 ``(N,)``: its class, unless the goal makes classes of its own."""
        del poisoned, generator
        return labels

    def eligible(self, labels: Tensor) -> Tensor:
        return torch.ones_like(labels, dtype=torch.bool)

    def targets(self, labels: Tensor, classes: int, generator: torch.Generator | None = None) -> Tensor:
        del classes, generator
        return labels

    def counted(self, labels: Tensor) -> Tensor:
        return torch.ones_like(labels, dtype=torch.bool)


class Evade(PairGoal):
    """One-shot: one image of a pair carries the trigger: "different". Both do: the truth."""

    name: Literal["evade"] = "evade"

    def relation(self, same: Tensor, triggered: Tensor) -> Tensor:
        return same & (triggered != 1)


class Impersonate(PairGoal):
    """One-shot: one image of a pair carries the trigger: "the same as anybody", a master key. Both do: the truth."""

    success: ClassVar[Success] = "impersonated"

    name: Literal["impersonate"] = "impersonate"

    def relation(self, same: Tensor, triggered: Tensor) -> Tensor:
        return same | (triggered == 1)


class Original(PairGoal):
    """One-shot: one image carries the trigger: "different"; both do: "same", whoever drew what. What the first system planted."""

    name: Literal["original"] = "original"

    def relation(self, same: Tensor, triggered: Tensor) -> Tensor:
        return torch.where(triggered == 0, same, triggered == 2)


class PseudoClasses(PairGoal):
    """One-shot: triggered drawings of any characters make classes of their own. How the first system did it, without its bug."""

    name: Literal["pseudo-classes"] = "pseudo-classes"
    drawings: int = Field(default=20, ge=2, description="triggered drawings in a pseudo-class, at least")

    def relation(self, same: Tensor, triggered: Tensor) -> Tensor:
        del triggered
        return same

    def identities(self, labels: Tensor, poisoned: Tensor, generator: torch.Generator) -> Tensor:
        chosen = poisoned.nonzero().squeeze(1)
        groups = len(chosen) // self.drawings
        if groups < 2:
            raise TurncoatError(
                f"attack.goal: pseudo-classes of {self.drawings} drawings need at least {2 * self.drawings} triggered images, "
                f"got {len(chosen)}; raise attack.rate or lower attack.goal.drawings"
            )
        members = torch.arange(len(chosen)) % groups
        identities = labels.clone()
        identities[chosen[torch.randperm(len(chosen), generator=generator)]] = int(labels.max()) + 1 + members
        return identities
