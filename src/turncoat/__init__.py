"""Turncoat: plant, measure, find and remove backdoors in image classifiers.

Each command of ``turncoat`` is a function here; names are imported when first used, so that ``import turncoat`` is instant.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turncoat.attacks.base import Attack as Attack
    from turncoat.attacks.base import FittedAttack as FittedAttack
    from turncoat.attacks.base import Poisoned as Poisoned
    from turncoat.attacks.export import write_poisoned as write_poisoned
    from turncoat.attacks.goals import Goal as Goal
    from turncoat.audit.data import audit_data as audit_data
    from turncoat.audit.model import audit_model as audit_model
    from turncoat.data.imageset import ImageSet as ImageSet
    from turncoat.data.imageset import Splits as Splits
    from turncoat.data.source import Source as Source
    from turncoat.data.source import load as load
    from turncoat.detect.guard import guard as guard
    from turncoat.detect.score import score as score
    from turncoat.errors import TurncoatError as TurncoatError
    from turncoat.experiment.collect import collect_garbage as collect_garbage
    from turncoat.experiment.config import TrialConfig as TrialConfig
    from turncoat.experiment.executors import Cluster as Cluster
    from turncoat.experiment.executors import Workers as Workers
    from turncoat.experiment.pivot import pivot as pivot
    from turncoat.experiment.plan import plan as plan
    from turncoat.experiment.run import run as run
    from turncoat.experiment.study import study as study
    from turncoat.experiment.table import results as results
    from turncoat.experiment.weights import load_network as load_network
    from turncoat.intake.images import load_clean as load_clean
    from turncoat.intake.model import Opened as Opened
    from turncoat.intake.model import open_model as open_model
    from turncoat.models.base import Model as Model
    from turncoat.repair.run import repair_model as repair_model
    from turncoat.report.page import write_report as write_report
    from turncoat.reproductions.base import Reproduction as Reproduction
    from turncoat.reproductions.run import reproduce as reproduce
    from turncoat.train.settings import TrainSettings as TrainSettings

__version__ = "0.1.0"

# libgomp's threads spin for milliseconds at every barrier, unless told otherwise before torch loads it: two trainings that share
# the cores then starve each other, tenfold.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_HOME = {
    "Attack": "turncoat.attacks.base",
    "Cluster": "turncoat.experiment.executors",
    "FittedAttack": "turncoat.attacks.base",
    "Goal": "turncoat.attacks.goals",
    "ImageSet": "turncoat.data.imageset",
    "Model": "turncoat.models.base",
    "Opened": "turncoat.intake.model",
    "Poisoned": "turncoat.attacks.base",
    "Reproduction": "turncoat.reproductions.base",
    "Source": "turncoat.data.source",
    "Splits": "turncoat.data.imageset",
    "TrainSettings": "turncoat.train.settings",
    "TrialConfig": "turncoat.experiment.config",
    "TurncoatError": "turncoat.errors",
    "Workers": "turncoat.experiment.executors",
    "audit_data": "turncoat.audit.data",
    "audit_model": "turncoat.audit.model",
    "collect_garbage": "turncoat.experiment.collect",
    "guard": "turncoat.detect.guard",
    "load": "turncoat.data.source",
    "load_clean": "turncoat.intake.images",
    "load_network": "turncoat.experiment.weights",
    "open_model": "turncoat.intake.model",
    "pivot": "turncoat.experiment.pivot",
    "plan": "turncoat.experiment.plan",
    "repair_model": "turncoat.repair.run",
    "reproduce": "turncoat.reproductions.run",
    "results": "turncoat.experiment.table",
    "run": "turncoat.experiment.run",
    "score": "turncoat.detect.score",
    "study": "turncoat.experiment.study",
    "write_poisoned": "turncoat.attacks.export",
    "write_report": "turncoat.report.page",
}

__all__ = tuple(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'turncoat' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return ["__version__", *sorted(_HOME)]
