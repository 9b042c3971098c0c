"""`Attack`: a frozen value; fitted to a training set it poisons images and triggers inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from turncoat.attacks.goals import AllToOne, Goal, SourceSpecific
from turncoat.attacks.selection import choose
from turncoat.component import Component
from turncoat.data.imageset import ImageSet
from turncoat.triggers.base import Trigger, to_float, to_uint8

ThreatModel = Literal["labels", "images", "images+labels", "training"]
"""What the attacker may change: labels alone, images alone (clean label), both, or the training itself."""


@dataclass(frozen=True, eq=False)
class Poisoned:
    """A poisoned training set and the truth about it, which only evaluation may see.

    data: what the victim trains on. true_labels: int64 ``(N,)`` before poisoning. poisoned: bool ``(N,)``, samples that teach
    the backdoor. cover: bool ``(N,)``, triggered samples with true labels that make it more specific.
    """

    data: ImageSet
    true_labels: Tensor
    poisoned: Tensor
    cover: Tensor

    @property
    def rate(self) -> float:
        """Share of the whole training set that is poisoned, cover not included."""
        return float(self.poisoned.float().mean())

    @property
    def relabelled(self) -> float:
        """Share of the whole training set whose label is not the true one."""
        return float((self.data.labels != self.true_labels).float().mean())


class Attack(Component):
    """What an attacker does to a training set, and to an input later. ``rate`` is a share of the *whole* training set."""

    family: ClassVar[str] = "attacks"
    paper: ClassVar[str]
    threat_model: ClassVar[ThreatModel]
    clean_label: ClassVar[bool] = False

    rate: float = Field(default=0.01, gt=0, lt=1, description="poisoned share of the whole training set")
    goal: Goal = AllToOne()

    @abstractmethod
    def fit(self, train: ImageSet, generator: torch.Generator, surrogate: torch.nn.Module | None = None) -> FittedAttack:
        """Everything that depends on the data is settled here: classes, pattern, places, which samples.

        ``generator`` is the trial's poison generator: the same state gives the same fitted attack.
        Raises `TurncoatError` for a target that is not a class, a trigger that does not fit, a rate that no pool can give.
        """


class FittedAttack(ABC):
    """An attack that knows its data: the same call gives the same answer."""

    attack: Attack
    goal: Goal
    """The goal with class indices."""

    @abstractmethod
    def poison(self, train: ImageSet) -> Poisoned:
        """What goes into training. ``train`` itself is left as it is."""

    @abstractmethod
    def trigger(
        self, x: Tensor, labels: Tensor, targets: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Inputs as the attacker would present them at test time.

        x: float ``(N, C, H, W)`` in [0, 1]; labels, targets: int64 ``(N,)``. Returns the same shape and range; differentiable in x.
        """


class Composed(Attack):
    """An attack that is a trigger, a selection and a relabelling, with nothing to be learned. Subclasses name the triggers."""

    @abstractmethod
    def triggers(self, data: ImageSet, generator: torch.Generator) -> tuple[Trigger, Trigger]:
        """The trigger of training and the one of test time (often the same), fitted to the images' shape."""

    def fit(self, train: ImageSet, generator: torch.Generator, surrogate: torch.nn.Module | None = None) -> FittedAttack:
        del surrogate
        goal = self.goal.resolve(train)
        training, test = self.triggers(train, generator)
        chosen = choose(goal.eligible(train.labels), self.rate, generator, what=f"{self.name} ({goal.name})")
        cover = torch.zeros_like(chosen)
        if isinstance(goal, SourceSpecific) and goal.cover:
            others = goal.leaking(train.labels)
            cover = choose(others, self.rate * goal.cover, generator, what=f"{self.name}: cover samples")
        targets = goal.targets(train.labels, len(train.classes), generator)
        return _FittedComposition(self, goal, training, test, chosen, cover, targets)


@dataclass(frozen=True, eq=False)
class _FittedComposition(FittedAttack):
    attack: Attack
    goal: Goal
    training: Trigger
    test: Trigger
    chosen: Tensor
    cover: Tensor
    targets: Tensor

    def poison(self, train: ImageSet) -> Poisoned:
        touched = (self.chosen | self.cover).nonzero().squeeze(1)
        images = train.images.clone()
        images[touched] = to_uint8(self.training(to_float(train.images[touched])))
        labels = torch.where(self.chosen, self.targets, train.labels)
        data = ImageSet(images, labels, train.classes)
        return Poisoned(data, train.labels, self.chosen, self.cover)

    def trigger(
        self, x: Tensor, labels: Tensor, targets: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        del labels, targets, generator
        return self.test(x)
