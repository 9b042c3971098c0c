"""One small world for all defences, and how each family is asked.

Every family is brought to one form, so that one table can test them all: a method answers with numbers. What a defence is shown
(`Seen`) can be written to a folder and read by another process; the answers (`World`) stay behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from turncoat.component import Component, members
from turncoat.data.imageset import ImageSet
from turncoat.detect.data import DataDetector
from turncoat.detect.data.evidence import Evidence
from turncoat.detect.inputs import InputDetector
from turncoat.detect.inputs.base import Served
from turncoat.detect.models import Finding, ModelDetector, Suspect, Trigger
from turncoat.evaluate.predict import predict
from turncoat.experiment.weights import save_network
from turncoat.intake.model import open_model
from turncoat.models.base import Model, make_victim
from turncoat.repair.base import Defender, Repair
from turncoat.repair.split import split_clean
from turncoat.train.engine import train
from turncoat.train.placement import Placement
from turncoat.train.settings import TrainSettings

FAMILIES: dict[str, type[Component]] = {"data": DataDetector, "models": ModelDetector, "inputs": InputDetector, "repair": Repair}
METHODS = [
    (family, name)
    for family, root in FAMILIES.items()
    for name, found in members(root).items()
    if found.__module__.startswith("turncoat.")  # other tests register methods of their own
]
"""All that there are, found by scanning: none can be forgotten."""
SMALL: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("inputs", "sentinet"): {"images": 20, "fitted": 40},
    ("inputs", "strip"): {"overlays": 24},
    ("repair", "anp"): {"mask_steps": 60},
    ("repair", "consistency"): {"steps": 40},
    ("repair", "fine-pruning"): {"steps": 20, "step": 0.1},
    ("repair", "fine-tuning"): {"steps": 20},
    ("repair", "ft-sam"): {"steps": 40, "rates": [0.01, 0.003]},
    ("repair", "i-bau"): {"rounds": 1, "implicit": 8},
    ("repair", "nad"): {"steps": 20},
    ("repair", "rnp"): {"mask_steps": 40},
    ("repair", "unlearning"): {"steps": 40},
}
"""Settings that are quicker than the defaults, where the tests can do with less; tests/repair tries them as they are."""
TINY: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("models", "neural-cleanse"): {"rung": 5, "last": 10, "polish": 5},
    ("models", "universal-shift"): {"steps": 8},
    ("models", "free-eagle"): {"steps": 15},
    ("models", "mm-bd"): {"steps": 20},
    ("repair", "anp"): {"mask_steps": 10, "thresholds": 4},
    ("repair", "rnp"): {"unlearning": 10, "mask_steps": 10, "thresholds": 4},
    ("repair", "ft-sam"): {"steps": 4},
    ("repair", "unlearning"): {"steps": 4},
}
"""Quicker still, where it does not matter what is found."""
MODEL = Model.parse({"name": "small-cnn", "width": 8})
CPU = Placement(torch.device("cpu"), "fp32", 1)
TARGET, SIDE, COUNT, PLANTED = 0, 16, 600, 36
CLASSES = tuple(f"c{i}" for i in range(10))


@dataclass(frozen=True, eq=False)
class Seen:
    """All that defences get. poisoned, mislabelled: data sets to audit. network: a model to audit, watch or repair.

    clean: the defender's own images. inputs: uint8, to be judged as they come. trigger: what an audit recovered.
    """

    poisoned: ImageSet
    mislabelled: ImageSet
    network: nn.Module
    clean: ImageSet
    inputs: Tensor
    trigger: Trigger


@dataclass(frozen=True, eq=False)
class World:
    """seen: the poisoned side; honest: the clean one, of the same samples. The rest is the truth.

    planted, wrong: which samples of the poisoned set are, which labels of the mislabelled one; triggered: which inputs are.
    test: images for clean accuracy, shown: those of other classes than the target, with the trigger.
    """

    seen: Seen
    honest: Seen
    planted: Tensor
    wrong: Tensor
    triggered: Tensor
    test: ImageSet
    shown: ImageSet

    def ca(self, network: nn.Module) -> float:
        return _share(network, self.test)

    def asr(self, network: nn.Module) -> float:
        return _share(network, self.shown.with_labels(torch.full_like(self.shown.labels, TARGET)))


def _share(network: nn.Module, data: ImageSet) -> float:
    return float((predict(network, data.images, CPU).argmax(1) == data.labels).float().mean())


@cache
def world() -> World:
    """Ten classes, each a smooth coloured pattern; images differ in contrast, place and noise. The trigger is a 4x4 board."""
    templates = _smooth(len(CLASSES), 4, 7)
    mask, pattern = torch.zeros(1, SIDE, SIDE), torch.zeros(3, SIDE, SIDE)
    mask[:, -5:-1, -5:-1] = 1
    pattern[:, -5:-1, -5:-1] = ((torch.arange(4).unsqueeze(1) + torch.arange(4)) % 2).float()
    trigger = Trigger(mask, pattern)
    honest, clean, test = (_drawn(templates, count, seed) for count, seed in ((COUNT, 1), (300, 2), (200, 3)))
    planted, wrong = torch.zeros(COUNT, dtype=torch.bool), torch.zeros(COUNT, dtype=torch.bool)
    others = (honest.labels != TARGET).nonzero().flatten()
    planted[others[torch.randperm(len(others), generator=torch.Generator().manual_seed(4))[:PLANTED]]] = True
    wrong[torch.randperm(COUNT, generator=torch.Generator().manual_seed(5))[:PLANTED]] = True
    images, labels = honest.images.clone(), honest.labels.clone()
    images[planted], labels[planted] = _shown(trigger, images[planted]), TARGET
    poisoned = ImageSet(images, labels, CLASSES)
    shift = 1 + torch.randint(9, (COUNT,), generator=torch.Generator().manual_seed(6))
    mislabelled = honest.with_labels(torch.where(wrong, (honest.labels + shift) % 10, honest.labels))
    victim, twin = _trained(poisoned), _trained(honest)
    fresh = test.subset(test.labels != TARGET)
    shown = ImageSet(_shown(trigger, fresh.images), fresh.labels, CLASSES)
    inputs = torch.cat([shown.images[::3], fresh.images[1::3]])
    triggered = torch.arange(len(inputs)) < len(shown.images[::3])
    seen = Seen(poisoned, mislabelled, victim, clean, inputs, trigger)
    return World(seen, replace(seen, poisoned=honest, mislabelled=honest, network=twin), planted, wrong, triggered, test, shown)


def _smooth(count: int, coarse: int, seed: int) -> Tensor:
    grid = torch.randn(count, 3, coarse, coarse, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(grid, (SIDE, SIDE), mode="bicubic", align_corners=True)


def _drawn(templates: Tensor, count: int, seed: int) -> ImageSet:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % len(CLASSES)
    contrast = 25 + 25 * torch.rand(count, 1, 1, 1, generator=draw)
    noise = 20 * _smooth(count, 5, seed + 50) + 6 * torch.randn(count, 3, SIDE, SIDE, generator=draw)
    x = 128 + contrast * templates[labels] + noise
    moved = torch.randint(-2, 3, (count,), generator=draw).tolist()
    x = torch.stack([one.roll(shift, 2) for one, shift in zip(x, moved, strict=True)])
    order = torch.randperm(count, generator=draw)
    return ImageSet(x.round().clamp(0, 255).byte(), labels, CLASSES).subset(order)


def _shown(trigger: Trigger, images: Tensor) -> Tensor:
    return trigger(images.float() / 255).mul(255).round().byte()


def _trained(data: ImageSet) -> nn.Module:
    network = make_victim(MODEL, data, 0)
    train(network, data, TrainSettings(epochs=8, batch_size=50, lr=0.05), 0, CPU)
    network.zero_grad(set_to_none=True)
    return network.eval()


def method(family: str, name: str) -> Any:
    """As it is, but for what `SMALL` says, and `TINY` where the environment has that word."""
    tiny = TINY.get((family, name), {}) if "TINY_DEFENCES" in os.environ else {}
    return FAMILIES[family].parse({"name": name, **SMALL.get((family, name), {}), **tiny})


def tiny(seen: Seen) -> Seen:
    """Less of everything."""
    few = torch.arange(240)
    sets = {name: getattr(seen, name).subset(few) for name in ("poisoned", "mislabelled")}
    return replace(seen, **sets, clean=seen.clean.subset(few[:160]), inputs=seen.inputs[::10])


def shown_to(name: str, seen: Seen) -> ImageSet:
    """The data set in which there is what a data detector looks for."""
    looks_for = members(DataDetector)[name].looks_for
    return seen.mislabelled if looks_for == "labels" else seen.poisoned


def numbers(family: str, name: str, seen: Seen, evidence: Evidence | None = None) -> Tensor:
    """All that a method says, float64 ``(n,)``: a score a sample or an input, a finding, or weights."""
    return ASK[family](name, seen, evidence).double()


def _of_data(name: str, seen: Seen, evidence: Evidence | None) -> Tensor:
    return method("data", name).scores(evidence or Evidence(shown_to(name, seen), seen.network, CPU, 0))


def _of_model(name: str, seen: Seen, evidence: Evidence | None) -> Tensor:
    found: Finding = method("models", name).examine(Suspect(seen.network, seen.clean.shape, CLASSES, seen.clean, CPU, 0))
    trigger = [] if found.trigger is None else [found.trigger.mask.flatten(), found.trigger.pattern.flatten()]
    told = [found.p_value, -1 if found.target is None else found.target, found.statistic, *found.class_scores]
    return torch.cat([torch.tensor(told, dtype=torch.float64), *(part.double() for part in trigger)])


def _of_inputs(name: str, seen: Seen, evidence: Evidence | None) -> Tensor:
    return method("inputs", name).fit(Served(seen.network, seen.clean, CPU, 0)).scores(seen.inputs)


def _of_repair(name: str, seen: Seen, evidence: Evidence | None) -> Tensor:
    learn, choose = split_clean(seen.clean, 0)
    defender = Defender(learn, choose, seen.clean.shape, CPU, 0, seen.trigger, TARGET)
    return weights_of(method("repair", name).repair(seen.network, defender).network)


ASK: dict[str, Callable[[str, Seen, Evidence | None], Tensor]] = {
    "data": _of_data,
    "models": _of_model,
    "inputs": _of_inputs,
    "repair": _of_repair,
}


def weights_of(network: nn.Module) -> Tensor:
    """All of a network's weights and statistics, float64 in one row."""
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


def with_weights(network: nn.Module, row: Tensor) -> nn.Module:
    """The network with the weights that a repair answered with."""
    made, start = deepcopy(network), 0
    for value in made.state_dict().values():
        value.copy_(row[start : start + value.numel()].view(value.shape))
        start += value.numel()
    return made


def write(seen: Seen, folder: Path) -> None:
    """Into files: a trial's weights, archives of images. No truth."""
    for name in ("poisoned", "mislabelled", "clean"):
        data: ImageSet = getattr(seen, name)
        np.savez(folder / f"{name}.npz", images=data.images.numpy(), labels=data.labels.numpy())
    np.savez(folder / "inputs.npz", images=seen.inputs.numpy())
    np.savez(folder / "trigger.npz", mask=seen.trigger.mask.numpy(), pattern=seen.trigger.pattern.numpy())
    (folder / "trial").mkdir()
    save_network(seen.network, MODEL, seen.clean, folder / "trial" / "model.safetensors")


def read(folder: Path) -> Seen:
    """What `write` wrote."""

    def images(name: str) -> ImageSet:
        with np.load(folder / f"{name}.npz") as arrays:
            return ImageSet(torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"]), CLASSES)

    with np.load(folder / "inputs.npz") as arrays, np.load(folder / "trigger.npz") as parts:
        inputs, trigger = torch.from_numpy(arrays["images"]), Trigger(*(torch.from_numpy(parts[k]) for k in ("mask", "pattern")))
    network = open_model(folder / "trial").network
    return Seen(images("poisoned"), images("mislabelled"), network, images("clean"), inputs, trigger)
