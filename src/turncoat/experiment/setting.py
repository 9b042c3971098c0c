"""`settle`: from a configuration to a task with its data loaded and everything that was left open decided."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar, cast

import torch

from turncoat.data.imageset import ImageSet, Splits
from turncoat.data.oneshot import ClassSplit, OneShotData
from turncoat.data.source import Source
from turncoat.experiment.classification import Classification
from turncoat.experiment.config import AnyConfig, OneShotConfig, TrialConfig
from turncoat.experiment.oneshot import OneShot
from turncoat.experiment.task import Task
from turncoat.models.base import laid_over, resolve_settings
from turncoat.progress import Progress, silent
from turncoat.train.placement import Placement, place

T = TypeVar("T")


class Datasets:
    """Keeps the data set that was loaded last, for the trials of a study that share it."""

    def __init__(self) -> None:
        self._last: tuple[object, object] | None = None

    def load(self, source: Source, progress: Progress = silent) -> Splits:
        """``source.load``, unless the last call asked for the same."""
        return self._keep(source, lambda: source.load(progress))

    def one_shot(self, source: Source, split: ClassSplit, progress: Progress = silent) -> OneShotData:
        """``source.one_shot``, unless the last call asked for the same."""
        return self._keep((source, split), lambda: source.one_shot(split, progress))

    def _keep(self, key: object, load: Callable[[], T]) -> T:
        if self._last is None or self._last[0] != key:
            self._last = None
            self._last = (key, load())
        return cast(T, self._last[1])


def settle(config: AnyConfig, datasets: Datasets, progress: Progress = silent) -> Task:
    """Load the data; resolve device, training and the goal's class names. Raises `TurncoatError` for what is not there."""
    placement = place(config.device, config.precision)
    if isinstance(config, OneShotConfig):
        return _settle_one_shot(config, placement, datasets.one_shot(config.data, config.split, progress))
    assert isinstance(config, TrialConfig)
    splits = datasets.load(config.data, progress)
    parts = {
        "model": config.model.settled(config.train.preset),
        "train": resolve_settings(config.model, config.train),
    }
    return Classification(config.model_copy(update={**_common(config, placement, splits.train), **parts}), placement, splits)


def _settle_one_shot(config: OneShotConfig, placement: Placement, data: OneShotData) -> Task:
    parts = {
        "train": resolve_settings(config.network, config.train),
        "pairs": laid_over(config.network.pairs(), config.pairs),
    }
    return OneShot(config.model_copy(update={**_common(config, placement, data.train), **parts}), placement, data)


def _common(config: AnyConfig, placement: Placement, train: ImageSet) -> dict[str, object]:
    attack = config.attack
    return {
        "attack": attack and attack.model_copy(update={"goal": attack.goal.resolve(train)}),
        "device": str(placement.device),
        "precision": placement.precision,
        "threads": placement.threads,
    }


@contextmanager
def cpu_threads(count: int | None) -> Generator[None]:
    """Run the block on ``count`` CPU threads; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
