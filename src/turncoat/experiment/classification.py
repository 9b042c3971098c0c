"""`Classification`: a victim is an ordinary classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from turncoat.attacks.base import FittedAttack, Poisoned
from turncoat.data.imageset import ImageSet, LabelledImages, Splits
from turncoat.evaluate.rows import Row
from turncoat.evaluate.samples import collect_samples
from turncoat.evaluate.targets import evaluate_targets
from turncoat.evaluate.victim import evaluate_attack, evaluate_clean
from turncoat.experiment.config import TrialConfig
from turncoat.experiment.task import Lesson, Measured, TriggerTask
from turncoat.experiment.weights import load_into, save_network
from turncoat.models.base import make_victim
from turncoat.seeds import seed_for
from turncoat.train.regularisers.base import join


@dataclass(frozen=True)
class Classification(TriggerTask):
    """config: settled. splits: training and test images of the same classes."""

    kind: ClassVar[str] = "classification"
    config: TrialConfig
    splits: Splits

    @property
    def fingerprint(self) -> str:
        return self.splits.fingerprint

    @property
    def clean(self) -> ImageSet:
        return self.splits.train

    @property
    def test(self) -> ImageSet:
        return self.splits.test

    @property
    def model_label(self) -> str:
        return self.config.model.label

    def check_network(self) -> None:
        network, train = self.config.model.build(self.clean.shape, len(self.clean.classes)), self.config.train
        join(
            train.regularisers,
            network,
            classes=len(self.clean.classes),
            smoothing=train.label_smoothing,
            device=torch.device("cpu"),
            seed=self.config.seed,
        )

    def new_network(self, data: LabelledImages) -> nn.Module:
        return make_victim(self.config.model, data, seed_for(self.config.seed, "init"))

    def lesson(self, network: nn.Module, poisoned: Poisoned | None) -> Lesson:
        del network
        return Lesson(self.clean if poisoned is None else poisoned.data)

    def measure_clean(self, network: nn.Module, method: str) -> Measured:
        return Measured(evaluate_clean(network, self.test, self.placement, method=method))

    def measure_attack(self, fitted: FittedAttack, networks: Mapping[str, nn.Module]) -> Measured:
        seed, placement = self.config.seed, self.placement
        rows: list[Row] = []
        for evaluate in (evaluate_attack, evaluate_targets):
            for method, network in networks.items():
                rows += evaluate(network, self.test, fitted, seed, placement, method=method)
        samples = collect_samples(fitted, self.test, networks, seed=seed, placement=placement)
        return Measured(rows, samples=samples.records, naturals=samples.naturals, arrays=samples.images)

    def measure_triggered(self, fitted: FittedAttack, network: nn.Module, method: str) -> list[Row]:
        """What one network makes of triggered test images."""
        return evaluate_attack(network, self.test, fitted, self.config.seed, self.placement, method=method)

    def save(self, network: nn.Module, path: Path) -> None:
        save_network(network, self.config.model, self.clean, path)

    def load(self, path: Path) -> nn.Module:
        return load_into(self.config.model, self.clean.shape, self.clean.classes, path)
