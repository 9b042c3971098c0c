"""What stands in ``trial.json`` beside the figures: attack, data, poison and environment, and the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch

import turncoat
from turncoat.attacks.base import FittedAttack, Poisoned
from turncoat.data.imageset import ImageSet
from turncoat.experiment.key import processor
from turncoat.experiment.task import Task
from turncoat.train.placement import Placement


def describe_attack(fitted: FittedAttack, train: ImageSet) -> dict[str, object]:
    """The attack and its resolved goal; target and source as class names."""
    attack = fitted.attack
    named = {key: getattr(fitted.goal, key, None) for key in ("target", "source")}
    return {
        "name": attack.name,
        "repr": repr(attack),
        "paper": attack.paper,
        "threat_model": attack.threat_model,
        "clean_label": attack.clean_label,
        "goal": fitted.goal.name,
        **{key: None if index is None else train.classes[int(index)] for key, index in named.items()},
    }


def describe_data(task: Task) -> dict[str, object]:
    """The images: name, fingerprint, counts, shape, classes of the test images."""
    return {
        "name": task.config.data.name,
        "fingerprint": task.fingerprint,
        "train": len(task.clean),
        "test": len(task.test),
        "shape": task.test.shape,
        "classes": task.test.classes,
    }


def describe_environment(placement: Placement) -> dict[str, object]:
    """Versions and hardware that the figures may depend on."""
    return {
        "turncoat": turncoat.__version__,
        "torch": torch.__version__,
        "device": placement.describe(),
        "precision": placement.precision,
        "threads": placement.threads,
        "machine": processor(),
    }


def write_manifest(poisoned: Poisoned, path: Path) -> None:
    """The truth about each training image: its true and given label, whether it is poisoned or cover (0 or 1)."""
    columns = (poisoned.true_labels, poisoned.data.labels, poisoned.poisoned, poisoned.cover)
    table = torch.stack([torch.arange(len(poisoned.data)), *(column.long() for column in columns)], dim=1)
    rows = cast("list[list[int]]", table.tolist())
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(["index,true_label,given_label,poisoned,cover", *lines]) + "\n", encoding="utf-8")


def describe_poison(poisoned: Poisoned) -> dict[str, object]:
    """Counts, and shares of the whole training set; ``class_rate``, for clean labels alone, is a share of the target class."""
    return {
        "poisoned": int(poisoned.poisoned.sum()),
        "cover": int(poisoned.cover.sum()),
        "rate": poisoned.rate,
        "class_rate": poisoned.class_rate,
        "relabelled": poisoned.relabelled,
    }
