"""The one training engine, its hooks and its settings."""

from turncoat.train.engine import ENGINE_VERSION, Diverged, EpochRecord, History, Objective, train
from turncoat.train.hooks import Batch, Hook
from turncoat.train.placement import Placement, place
from turncoat.train.settings import Augmentation, TrainSettings

__all__ = [
    "ENGINE_VERSION",
    "Augmentation",
    "Batch",
    "Diverged",
    "EpochRecord",
    "History",
    "Hook",
    "Objective",
    "Placement",
    "TrainSettings",
    "place",
    "train",
]
