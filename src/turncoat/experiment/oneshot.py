"""`OneShot`: a victim is a Siamese network, trained on pairs, tested on classes that it has never seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from turncoat.attacks.base import FittedAttack, Poisoned
from turncoat.attacks.pairgoals import PairGoal
from turncoat.attacks.triggered import triggered
from turncoat.data.imageset import ImageSet, LabelledImages
from turncoat.data.oneshot import OneShotData
from turncoat.experiment.config import OneShotConfig
from turncoat.experiment.task import Lesson, Measured, TriggerTask
from turncoat.experiment.weights import load_siamese_into, save_siamese
from turncoat.oneshot.measure import measure_baselines, measure_clean
from turncoat.oneshot.measure_attack import measure_attack
from turncoat.oneshot.pairs import Pairing
from turncoat.oneshot.scorer import Cached, NetworkScorer, Scorer
from turncoat.oneshot.siamese import Siamese, build_siamese, make_siamese, shrink
from turncoat.oneshot.training import PairTraining, symmetries, turned
from turncoat.seeds import generator, seed_for


@dataclass(frozen=True)
class OneShot(TriggerTask):
    """config: settled. data: classes to train on, to set the threshold on, to test on."""

    kind: ClassVar[str] = "one-shot"
    part: ClassVar[str] = "oneshot"
    config: OneShotConfig
    data: OneShotData

    @property
    def fingerprint(self) -> str:
        return self.data.fingerprint

    @property
    def clean(self) -> ImageSet:
        return self.data.train

    @property
    def test(self) -> ImageSet:
        return self.data.test

    @property
    def model_label(self) -> str:
        return f"{self.config.network.label}, {self.config.head.label}"

    def check_network(self) -> None:
        build_siamese(self.config.network, self.config.head, self.clean.shape[0])

    def new_network(self, data: LabelledImages) -> Siamese:
        """Its normalisation is of the clean images."""
        del data
        return make_siamese(self.config.network, self.config.head, self.clean, seed_for(self.config.seed, "init"))

    def lesson(self, network: nn.Module, poisoned: Poisoned | None) -> Lesson:
        config, data = self.config, self.clean if poisoned is None else poisoned.data
        symmetric = None if poisoned is None else self._poisoned_symmetries(poisoned)
        training = PairTraining(cast(Siamese, network), self._pairing(poisoned), config.pairs, symmetric)
        told = dict[str, Any] if poisoned is None else lambda: {"pairs": training.shares()}
        return Lesson(shrink(data, config.network.size), [training], training.objective, told)

    def _poisoned_symmetries(self, poisoned: Poisoned) -> Tensor:
        """New classes come first and the poison after them: the triggered images under each symmetry, at the network's size."""
        fitted, chosen = self.fit(), (poisoned.poisoned | poisoned.cover).nonzero().squeeze(1)
        parts: list[Tensor] = []
        for kind in range(symmetries(self.config.pairs)):
            images = turned(self.clean.images, torch.full((len(self.clean),), kind)) if kind else self.clean.images
            again = fitted.poison(replace(self.clean, images=images))
            parts.append(shrink(again.data.subset(chosen), self.config.network.size).images)
        return torch.stack(parts)

    def _pairing(self, poisoned: Poisoned | None) -> Pairing:
        if poisoned is None:
            labels = self.clean.labels
            return Pairing(labels, torch.zeros_like(labels, dtype=torch.bool))
        assert self.config.attack is not None
        goal = cast(PairGoal, self.config.attack.goal)
        chosen = poisoned.poisoned
        identities = goal.identities(poisoned.true_labels, chosen, generator(self.config.seed, "pairs"))
        return Pairing(identities, chosen | poisoned.cover, goal)

    def measure_clean(self, network: nn.Module, method: str) -> Measured:
        config = self.config
        rows, parts = measure_clean({method: self._scorer(network)}, self.data, config.evaluation, config.seed)
        if method == "clean-twin":
            rows += measure_baselines(self.data, config.evaluation, config.seed)
        return Measured(rows, parts)

    def measure_attack(self, fitted: FittedAttack, networks: Mapping[str, nn.Module]) -> Measured:
        config, test = self.config, self.test
        shown = triggered(fitted, test.images, test.labels, test.labels, generator(config.seed, "test"))
        scorers = {method: self._scorer(network) for method, network in networks.items()}
        rows, parts, arrays = measure_attack(
            scorers, self.data, shown, goal=fitted.goal.name, settings=config.evaluation, seed=config.seed
        )
        return Measured(rows, {**parts, "distance": config.head.metric}, arrays=arrays)

    def _scorer(self, network: nn.Module) -> Scorer:
        return Cached(NetworkScorer(cast(Siamese, network), self.placement))

    def save(self, network: nn.Module, path: Path) -> None:
        save_siamese(cast(Siamese, network), self.config.network, self.config.head, self.clean.shape, path)

    def load(self, path: Path) -> nn.Module:
        return load_siamese_into(self.config.network, self.config.head, self.clean.shape, path)
