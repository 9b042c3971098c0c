"""`Task`: a configuration with everything that was left open settled, and what one kind of trial does at each stage."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from turncoat.attacks.base import FittedAttack, Poisoned
from turncoat.attacks.common import AnyFitted, AnyPoisoned
from turncoat.attacks.control import random_labels
from turncoat.attacks.selection import choose
from turncoat.data.imageset import ImageSet, LabelledImages
from turncoat.evaluate.rows import Row
from turncoat.evaluate.stealth import stealth
from turncoat.experiment.config import Config, OneShotConfig, TrialConfig
from turncoat.experiment.key import random_twin_key, trial_key, twin_key
from turncoat.experiment.listener import Listener
from turncoat.seeds import generator
from turncoat.train.engine import History, Objective, train
from turncoat.train.hooks import Hook
from turncoat.train.placement import Placement

Parts = dict[str, Any]
"""JSON values that only this kind of trial has."""


@dataclass(frozen=True)
class Measured:
    """Figures, and what the page shows beside them: parts, sample records, and the arrays of samples.npz.

    naturals: records of samples that have the trigger by nature.
    """

    rows: list[Row]
    parts: Parts = field(default_factory=dict[str, Any])
    samples: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    naturals: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    arrays: dict[str, NDArray[np.uint8]] = field(default_factory=dict[str, "NDArray[np.uint8]"])


@dataclass(frozen=True)
class Trained:
    """A network and its training; parts: what the training has to tell."""

    network: nn.Module
    history: History
    parts: Parts = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Lesson:
    """What a network is taught. data: images as it takes them. hooks: the task's own, before the attack's.

    objective: None for the cross-entropy. told: parts that are known once it is over.
    """

    data: LabelledImages
    hooks: Sequence[Hook] = ()
    objective: Objective | None = None
    told: Callable[[], Parts] = dict


F = TypeVar("F", bound=AnyFitted[Any])
P = TypeVar("P", bound=AnyPoisoned[Any])


@dataclass(frozen=True)
class TaskOf(ABC, Generic[F, P]):
    """One trial: its data are loaded; device, precision, threads, training and the goal's classes are settled.

    F: what its attacks are once fitted. P: what they make of the training images.
    """

    kind: ClassVar[str]
    """What ``task`` in a configuration calls it."""
    part: ClassVar[str] = "parts"
    """What ``trial.json`` calls the values that only this kind of trial has."""
    config: Config
    placement: Placement
    twin_as: str = field(default="", kw_only=True)
    """The clean twin's key where it is trained together with those of other trials."""

    @abstractmethod
    def fit(self) -> F:
        """The attack, which there must be, on this trial's poison seed."""

    @abstractmethod
    def check_attack(self) -> None:
        """Whether the attack, if there is one, goes with the data. Raises `TurncoatError` where it does not."""

    @abstractmethod
    def control(self, poisoned: P) -> P:
        """As many false labels at random, for the random twin of an attack that falsifies labels alone."""

    @abstractmethod
    def visibility(self, fitted: F) -> list[Row]:
        """How visible the trigger is on test images."""

    @property
    def key(self) -> str:
        """The trial's key."""
        return trial_key(self.config, self.fingerprint, self.placement)

    @property
    def twin(self) -> str:
        """The clean twin's key."""
        return self.twin_as or twin_key(self.config, self.fingerprint, self.placement)

    @property
    def random_twin(self) -> str:
        """The key of the twin with random wrong labels."""
        return random_twin_key(self.config, self.fingerprint, self.placement)

    @property
    @abstractmethod
    def clean(self) -> LabelledImages:
        """The training images before any poison."""

    @property
    @abstractmethod
    def test(self) -> LabelledImages:
        """The images that everything is measured on."""

    @abstractmethod
    def check_network(self) -> None:
        """Build the network once. Raises `TurncoatError` where it does not go with the data."""

    @abstractmethod
    def new_network(self, data: LabelledImages) -> nn.Module:
        """The network on the trial's initial weights. data: what it will be trained on."""

    @abstractmethod
    def lesson(self, network: nn.Module, poisoned: P | None) -> Lesson:
        """What ``network`` is taught by the poisoned training set, or by the clean one."""

    def train(
        self,
        poisoned: P | None,
        what: str,
        listener: Listener,
        hooks: Sequence[Hook] = (),
        *,
        start: nn.Module | None = None,
    ) -> Trained:
        """A network of the trial's seeds, on the poisoned training set, or on the clean one.

        hooks: the attack's own. start: late injection, which goes on from a copy of this network; else from new weights.
        """
        if start is None:
            network, settings = self.new_network(self.clean if poisoned is None else poisoned.data), self.config.train
        else:
            network, settings = copy.deepcopy(start), self.config.train.trained_on()
        lesson = self.lesson(network, poisoned)
        history = train(
            network,
            lesson.data,
            settings,
            self.config.seed,
            self.placement,
            hooks=[*lesson.hooks, *hooks],
            watch=lambda record: listener.epoch(what, record),
            progress=listener.named(what),
            objective=lesson.objective,
        )
        return Trained(network, history, lesson.told())

    @abstractmethod
    def measure_clean(self, network: nn.Module, method: str) -> Measured:
        """Without any trigger; for the ``clean-twin`` also whatever needs no network."""

    @abstractmethod
    def measure_attack(self, fitted: F, networks: Mapping[str, nn.Module]) -> Measured:
        """Networks by method, the ``victim`` and its twins, on triggered images, the same ones."""

    @abstractmethod
    def save(self, network: nn.Module, path: Path) -> None:
        """Write the weights with all that is needed to build the network again."""

    @abstractmethod
    def load(self, path: Path) -> nn.Module:
        """The network of this trial with the weights of ``path``."""

    @property
    @abstractmethod
    def model_label(self) -> str:
        """The architecture in a word."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Of all data that the trial sees."""


Task = TaskOf[Any, Any]
"""A trial of any kind."""


@dataclass(frozen=True)
class TriggerTask(TaskOf[FittedAttack, Poisoned]):
    """A trial whose triggers are drawn on images of one class each."""

    config: TrialConfig | OneShotConfig

    @property
    @abstractmethod
    def clean(self) -> ImageSet: ...

    @property
    @abstractmethod
    def test(self) -> ImageSet: ...

    def fit(self) -> FittedAttack:
        assert self.config.attack is not None
        return self.config.attack.fit(self.clean, generator(self.config.seed, "poison"))

    def check_attack(self) -> None:
        """It is fitted once, unless that would train a surrogate: then only its goal and its rate are checked."""
        attack = self.config.attack
        if attack is None:
            return
        if attack.surrogate:
            choose(attack.pool(attack.goal, self.clean.labels), attack.rate, generator(self.config.seed, "poison"))
        else:
            self.fit()

    def control(self, poisoned: Poisoned) -> Poisoned:
        return random_labels(poisoned, generator(self.config.seed, "control"))

    def visibility(self, fitted: FittedAttack) -> list[Row]:
        return stealth(fitted, self.test, self.config.seed)
