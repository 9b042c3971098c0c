"""``python -m benchmarks.class_by_class MODEL ... --clean DIR``: Neural Cleanse one class after the other, against all at once.

The budget is that of the authors' published settings: rounds of 31 batches of 32 images, at most 1,000 a class, until for 25 of
them no smaller patch was found; the verdict is theirs too, an anomaly index over 2 by the median absolute deviation. Start, step
and loss are `invert`'s, so that the number of passes is all that differs. ``--rounds`` cuts the search short: passes are then
what it took at least.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import turncoat
from turncoat.data import ImageSet, load
from turncoat.detect.models import Suspect
from turncoat.detect.models.inversion import Patches, frozen, invert
from turncoat.detect.models.neural_cleanse import NeuralCleanse
from turncoat.seeds import generator
from turncoat.train import Placement, place
from turncoat.train.placement import to_device

BATCH, BATCHES, ROUNDS, PATIENCE = 32, 31, 1000, 25
ANOMALOUS = 2.0
_CONSISTENT = 1.4826  # of the median absolute deviation with a normal's standard deviation


@dataclass(frozen=True)
class OneByOne:
    """sizes: of the smallest patch towards each class, in pixels. rounds: of each search. index: the smallest size's anomaly."""

    sizes: tuple[float, ...]
    rounds: tuple[int, ...]
    index: float
    target: int
    passes: int
    seconds: float


def one_by_one(network: nn.Module, clean: ImageSet, placement: Placement, rounds: int = ROUNDS, seed: int = 0) -> OneByOne:
    """Neural Cleanse's search, class by class."""
    began, draw = time.perf_counter(), generator(seed, "detect")
    sizes, taken = list[float](), list[int]()
    with frozen(network):
        for target in range(len(clean.classes)):
            patches, since, smallest = Patches.start([target], clean.shape, draw), 0, float("inf")
            done = 0
            while done < rounds and since < PATIENCE:
                patches = invert(network, clean, patches, steps=BATCHES, batch=BATCH, placement=placement, draw=draw)
                done, since = done + 1, 0 if float(patches.best) < smallest else since + 1
                smallest = float(patches.best)
            sizes.append(smallest)
            taken.append(done)
    index, target = anomaly_index(torch.tensor(sizes))
    passes = sum(taken) * BATCHES * BATCH
    return OneByOne(tuple(sizes), tuple(taken), index, target, passes, time.perf_counter() - began)


def anomaly_index(sizes: Tensor) -> tuple[float, int]:
    """By how many consistent median absolute deviations the smallest of ``(K,)`` lies under the median, and its place."""
    away = sizes.median() - sizes
    return float(away.max() / (_CONSISTENT * away.abs().median()).clamp_min(1e-9)), int(away.argmax())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.class_by_class", description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--clean", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    source, placement = load(f"folder:{asked.clean}"), place()
    images = torch.cat([source.train.images, source.test.images])
    clean = ImageSet(images, torch.cat([source.train.labels, source.test.labels]), source.train.classes)
    for path in asked.models:
        network, classes = turncoat.load_network(path)
        to_device(network, placement)
        found = one_by_one(network, clean, placement, asked.rounds)
        ours = NeuralCleanse().examine(Suspect(network, clean.shape, classes, clean, placement, 0))
        told = {"model": str(path), "class by class": vars(found), "suspicious": found.index > ANOMALOUS}
        told["all at once"] = {"p_value": ours.p_value, "target": ours.target, "passes": ours.passes, "seconds": ours.seconds}
        print(json.dumps({**told, "times fewer passes": round(found.passes / ours.passes, 1)}), flush=True)


if __name__ == "__main__":
    main()
