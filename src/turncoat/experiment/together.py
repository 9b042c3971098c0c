"""Which trials of a study are trained together, and that training. The rule looks at the study alone, never at a clock."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from turncoat.attacks.base import Poisoned
from turncoat.experiment.classification import Classification
from turncoat.experiment.key import identity
from turncoat.experiment.listener import Listener
from turncoat.experiment.task import Task, Trained
from turncoat.models.base import Model
from turncoat.train.engine import Diverged
from turncoat.train.together import Member, can_stack, train_together

TOGETHER_VERSION = 2
"""Raised by a change to what training together gives; part of the keys of trials that are."""

Choice = Literal["auto", "never"]
"""Whether trials of a study are trained together: where it pays, or not at all."""

ALONE = ("cpu",)
"""Devices where trials are not trained together unless that is asked for: 1.2 times as fast per core (`benchmarks/together.py`)
is too little for keys that depend on the whole study."""

GROUP_SIZE = 16
"""Trials a group at most."""

_WORTH = {"cpu": 5e8, "cuda": 5e10}
"""FLOPs of a step's forward pass up to which a stack pays. Measured on a CPU: per core 1.4 times as fast as one by one at 2e8
(`small-cnn` on 8x8 digits), 1.1 at 8e8 (16x16), 1.0 at 2e9 (28x28). Not measured on a GPU: an estimate of what takes as long to
compute as to launch."""


@dataclass(frozen=True)
class Group:
    """members: positions in the study, in its order. name: 20 hexadecimal digits, which depend on all members' keys."""

    members: tuple[int, ...]
    name: str

    def key(self, own: str) -> str:
        """The key of a member, from that which it would have alone: the last bits of its figures depend on the whole group."""
        return _hash({"trial": own, "together": self.name, "version": TOGETHER_VERSION})


def group_of(keys: Sequence[str]) -> Group:
    """One group of all these trials, by the keys that they would have alone, each once."""
    return Group(tuple(range(len(keys))), _hash({"members": keys}))


def twin_keys(alone: Sequence[str]) -> list[str]:
    """Keys of a group's clean twins, from those that they would have alone: the distinct ones are a group of their own."""
    distinct = list(dict.fromkeys(alone))
    return list(alone) if len(distinct) < 2 else [group_of(distinct).key(key) for key in alone]


def groups(kin: Sequence[str | None], keys: Sequence[str], size: int = GROUP_SIZE) -> list[Group]:
    """Trials with the same `kin_of`, in the order of the study, up to ``size`` a group and as even as can be.

    kin, keys: of each trial; keys as it would have alone. A key that comes twice counts once, at its first place. Who is alone
    is in no group, and trained as ever.
    """
    alike: dict[str, dict[str, int]] = {}
    for position, (common, key) in enumerate(zip(kin, keys, strict=True)):
        if common is not None:
            alike.setdefault(common, {}).setdefault(key, position)
    found: list[Group] = []
    for family in alike.values():
        positions, number = list(family.values()), -(-len(family) // size)
        for part in range(number):
            members = positions[len(positions) * part // number : len(positions) * (part + 1) // number]
            if len(members) > 1:
                found.append(replace(group_of([keys[at] for at in members]), members=tuple(members)))
    return found


def wanted(task: Task, choice: Choice | None) -> bool:
    """Whether trials like this one may be trained together, as was chosen, or else as its device has it."""
    return choice == "auto" or (choice is None and task.placement.device.type not in ALONE)


def kin_of(task: Task) -> str | None:
    """What trials that are trained together have in common: all but the attack and the seed. None for one that is not.

    That is one whose victim is more than an ordinary training (regularisers, an attack that takes part in it, late injection,
    retraining, defences), is no victim (no attack: the store has it as a twin), does not stack, or is too large to gain by it.
    """
    if not isinstance(task, Classification):
        return None
    config, clean = task.config, task.clean
    attack, train = config.attack, config.train
    if attack is None or attack.threat_model == "training" or config.retrain or config.defences:
        return None
    joined = any(one.manner != "setting" for one in train.regularisers)
    if joined or train.start != "scratch" or train.compile:
        return None
    network = _Network(config.model, clean.shape, len(clean.classes))
    most = _WORTH.get(task.placement.device.type, 0.0)
    if _work(network) * min(train.batch_size, len(clean)) > most or not _stacks(network):
        return None
    placement = [task.placement.describe(), task.placement.precision, task.placement.threads]
    return _hash({"model": identity(config.model), "train": identity(train), "data": task.fingerprint, "device": placement})


def train_group(
    task: Classification, victims: Sequence[Member], listeners: Sequence[Listener], threads: int = 1, what: str = "victim"
) -> list[Trained | Diverged]:
    """The victims of a group's trials, in their order, each as its `Task.train` would give it, but for the last bits.

    task: any of theirs. victims: new networks, a `victim_of` each; training sets of different size, where attacks add images,
    are trained apart. threads: of the CPU, each with stacks of its own; nothing depends on how many they are. what: if these
    are other networks than victims.
    """
    placement = replace(task.placement, threads=threads)
    outcomes: dict[int, Trained | Diverged] = {}
    for count in sorted({len(each.data) for each in victims}):
        here = [at for at, each in enumerate(victims) if len(each.data) == count]
        members = [victims[at] for at in here]
        told = [listeners[at] for at in here]
        histories = train_together(
            members,
            task.config.train,
            placement,
            watch=lambda member, record, told=told: told[member].epoch(what, record),
            progress=told[0].named(f"{what}s together"),
        )
        for at, member, history in zip(here, members, histories, strict=True):
            outcomes[at] = history if isinstance(history, Diverged) else Trained(member.network, history)
    return [outcomes[at] for at in range(len(victims))]


def victim_of(task: Classification, poisoned: Poisoned) -> Member:
    """What is trained: a new network, the poisoned images, the seed."""
    return Member(task.new_network(poisoned.data), poisoned.data, task.config.seed)


def twin_of(task: Classification) -> Member:
    """The same of its clean twin."""
    return Member(task.new_network(task.clean), task.clean, task.config.seed)


@dataclass(frozen=True)
class _Network:
    model: Model
    shape: tuple[int, int, int]
    classes: int

    def build(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            return self.model.build(self.shape, self.classes).eval()


@lru_cache(maxsize=64)
def _work(network: _Network) -> float:
    """FLOPs of one image's forward pass; infinite where that fails, as the training will tell."""
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network.build()(torch.zeros(1, *network.shape))
    except (RuntimeError, ValueError, IndexError, TypeError):
        return math.inf
    return float(counter.get_total_flops())


@lru_cache(maxsize=64)
def _stacks(network: _Network) -> bool:
    return can_stack(network.build(), network.shape)


def _hash(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:20]
