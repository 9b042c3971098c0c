"""Poisoning 50,000 CIFAR-sized images in memory."""

from __future__ import annotations

from benchmarks import machine
from benchmarks.table import Line
from turncoat.attacks import Attack
from turncoat.component import members
from turncoat.data import ImageSet
from turncoat.seeds import generator
from turncoat.train import Placement

GOAL = 0.3


def run(train: ImageSet, placement: Placement) -> list[Line]:
    """Seconds to fit and poison at rates of 1% and 10%, for every attack of the package that trains nothing to poison."""
    lines: list[Line] = []
    for name, kind in members(Attack).items():
        if kind.surrogate or kind.threat_model == "training":
            continue
        for rate in (0.01, 0.1):
            attack = Attack.parse({"name": name, "rate": rate})
            seconds = machine.seconds_of(lambda attack=attack: attack.fit(train, generator(0, "poison")).poison(train), placement)
            lines.append(Line(f"poison {len(train):,} images, {name} {rate:.0%}", f"{seconds:.3f} s", f"goal {GOAL} s"))
    return lines
