"""`ManyTargets`: the attacker chooses the class anew for each image, by the trigger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import torch
from pydantic import field_validator
from torch import Tensor

from turncoat.attacks.goals import ClassRef, Goal
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError


class ManyTargets(Goal):
    """Every triggered image becomes the class its own trigger stands for, any of several; for attacks whose triggers tell."""

    name: Literal["many-targets"] = "many-targets"
    shorthand: ClassVar[str | None] = "classes"
    told_by_trigger: ClassVar[bool] = True
    classes: Literal["all"] | tuple[ClassRef, ...] = "all"

    @field_validator("classes", mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        """``many-targets:cat,dog`` on the command line."""
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) and value != "all" else value

    def resolve(self, data: ImageSet) -> Goal:
        names: Sequence[ClassRef] = range(len(data.classes)) if self.classes == "all" else self.classes
        found = tuple(dict.fromkeys(data.class_index(name, "attack.goal.classes") for name in names))
        if len(found) < 2:
            raise TurncoatError(f"attack.goal.classes: expected at least two classes, got {len(found)}; for one, use all-to-one")
        return self.model_copy(update={"classes": found})

    def indices(self, device: torch.device | None = None) -> Tensor:
        """The targets, int64 ``(T,)``, of a resolved goal."""
        return torch.tensor(cast(tuple[int, ...], self.classes), device=device)

    def eligible(self, labels: Tensor) -> Tensor:
        return torch.ones_like(labels, dtype=torch.bool)

    def targets(self, labels: Tensor, classes: int, generator: torch.Generator | None = None) -> Tensor:
        del classes
        wanted = self.indices(labels.device)
        count = len(wanted)
        pick, step = torch.zeros_like(labels), torch.ones_like(labels)
        if generator is not None:
            pick = torch.randint(count, labels.shape, generator=generator).to(labels.device)
            step = torch.randint(1, count, labels.shape, generator=generator).to(labels.device)
        own = wanted[pick] == labels
        return wanted[torch.where(own, pick + step, pick) % count]

    def counted(self, labels: Tensor) -> Tensor:
        return torch.ones_like(labels, dtype=torch.bool)


def possible_targets(goal: Goal, classes: int) -> list[int]:
    """The classes that a resolved goal may ask for: its targets, or all ``classes`` of them."""
    if isinstance(goal, ManyTargets):
        return [int(one) for one in goal.classes]
    target = cast(ClassRef | None, getattr(goal, "target", None))
    return list(range(classes)) if target is None else [int(target)]
