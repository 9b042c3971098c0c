"""`MultiLabel`: a victim is a classifier of images that show several classes, attacked through false labels alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from turncoat.attacks.control import random_label_flips
from turncoat.attacks.labels import FalseLabels, FittedLabelAttack
from turncoat.data.imageset import LabelledImages
from turncoat.data.multilabel import MultiLabelSet, MultiLabelSplits
from turncoat.errors import TurncoatError
from turncoat.evaluate.rows import Row
from turncoat.experiment.config import MultiLabelConfig
from turncoat.experiment.task import Lesson, Measured, Parts, TaskOf
from turncoat.experiment.weights import load_into, save_network
from turncoat.models.base import make_victim
from turncoat.multilabel.measure import measure_attack, measure_clean
from turncoat.multilabel.samples import collect_bearing
from turncoat.seeds import generator, seed_for


@dataclass(frozen=True)
class MultiLabel(TaskOf[FittedLabelAttack, FalseLabels]):
    """config: settled. splits: training and test images of the same classes."""

    kind: ClassVar[str] = "multi-label"
    part: ClassVar[str] = "multilabel"
    config: MultiLabelConfig
    splits: MultiLabelSplits

    @property
    def fingerprint(self) -> str:
        return self.splits.fingerprint

    @property
    def clean(self) -> MultiLabelSet:
        return self.splits.train

    @property
    def test(self) -> MultiLabelSet:
        return self.splits.test

    @property
    def model_label(self) -> str:
        return self.config.model.label

    def fit(self) -> FittedLabelAttack:
        """Raises `TurncoatError` also where no test image could tell whether the attack works."""
        assert self.config.attack is not None
        fitted = self.config.attack.fit(self.clean, generator(self.config.seed, "poison"))
        if not fitted.counted(self.test.labels).any():
            names = ", ".join(f"'{self.test.classes[label]}'" for label in fitted.trigger)
            raise TurncoatError(f"attack.trigger: no test image has {names} and a label to get wrong: nothing could be measured")
        return fitted

    def check_attack(self) -> None:
        if self.config.attack is not None:
            self.fit()

    def control(self, poisoned: FalseLabels) -> FalseLabels:
        return random_label_flips(poisoned, generator(self.config.seed, "control"))

    def check_network(self) -> None:
        self.config.model.build(self.clean.shape, len(self.clean.classes))

    def new_network(self, data: LabelledImages) -> nn.Module:
        return make_victim(self.config.model, data, seed_for(self.config.seed, "init"))

    def lesson(self, network: nn.Module, poisoned: FalseLabels | None) -> Lesson:
        del network
        data = self.clean if poisoned is None else poisoned.data
        return Lesson(data, objective=self.config.loss.objective(self.config.train.label_smoothing))

    def visibility(self, fitted: FittedLabelAttack) -> list[Row]:
        """No image is changed."""
        del fitted
        return []

    def measure_clean(self, network: nn.Module, method: str) -> Measured:
        return Measured(measure_clean(network, self.test, self.placement, self.config.threshold, method=method))

    def measure_attack(self, fitted: FittedLabelAttack, networks: Mapping[str, nn.Module]) -> Measured:
        threshold, rows = self.config.threshold, list[Row]()
        for method, network in networks.items():
            rows += measure_attack(network, self.test, fitted, self.placement, threshold, method=method)
        images, samples = collect_bearing(
            fitted, self.test, networks, threshold=threshold, seed=self.config.seed, placement=self.placement
        )
        parts = {**self._told(fitted), "samples": samples}
        return Measured(rows, parts, arrays={"bearing": images.numpy()})

    def _told(self, fitted: FittedLabelAttack) -> Parts:
        """The trigger, and how many images have it."""
        bearing = {name: fitted.bearing(part.labels) for name, part in (("train", self.clean), ("test", self.test))}
        return {
            "trigger": [self.clean.classes[label] for label in fitted.trigger],
            "bearing": {name: int(mask.sum()) for name, mask in bearing.items()},
            "threshold": self.config.threshold,
            "composed": type(self.config.data).composed,
        }

    def save(self, network: nn.Module, path: Path) -> None:
        save_network(network, self.config.model, self.clean, path)

    def load(self, path: Path) -> nn.Module:
        return load_into(self.config.model, self.clean.shape, self.clean.classes, path)
