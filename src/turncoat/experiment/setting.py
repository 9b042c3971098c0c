"""`Setting`: a configuration with everything that was left open settled."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from turncoat.attacks.base import FittedAttack
from turncoat.data.imageset import Splits
from turncoat.data.source import Source
from turncoat.experiment.config import TrialConfig
from turncoat.experiment.key import trial_key, twin_key
from turncoat.models.base import resolve_settings
from turncoat.progress import Progress, silent
from turncoat.seeds import generator
from turncoat.train.placement import Placement, place


class Datasets:
    """Keeps the data set that was loaded last, for the trials of a study that share it."""

    def __init__(self) -> None:
        self._last: tuple[Source, Splits] | None = None

    def load(self, source: Source, progress: Progress = silent) -> Splits:
        """``source.load``, unless the last call asked for the same."""
        if self._last is None or self._last[0] != source:
            self._last = None
            self._last = (source, source.load(progress))
        return self._last[1]


@dataclass(frozen=True)
class Setting:
    """A configuration with everything that was left open settled: data, device, precision, threads, training."""

    config: TrialConfig
    splits: Splits
    placement: Placement

    @property
    def key(self) -> str:
        """The trial's key."""
        return trial_key(self.config, self.splits.fingerprint, self.placement)

    @property
    def twin(self) -> str:
        """The clean twin's key."""
        return twin_key(self.config, self.splits.fingerprint, self.placement)

    def fit(self) -> FittedAttack:
        """The attack on this trial's poison seed."""
        return self.config.attack.fit(self.splits.train, generator(self.config.seed, "poison"))


def settle(config: TrialConfig, datasets: Datasets, progress: Progress = silent) -> Setting:
    """Load the data; resolve device, training and the goal's class names. Raises `TurncoatError` for what is not there."""
    placement = place(config.device, config.precision)
    splits = datasets.load(config.data, progress)
    resolved = {
        "attack": config.attack.model_copy(update={"goal": config.attack.goal.resolve(splits.train)}),
        "model": config.model.settled(config.train.preset),
        "train": resolve_settings(config.model, config.train),
        "device": str(placement.device),
        "precision": placement.precision,
        "threads": placement.threads,
    }
    return Setting(config.model_copy(update=resolved), splits, placement)


@contextmanager
def cpu_threads(count: int | None) -> Generator[None]:
    """Run the block on ``count`` CPU threads; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
