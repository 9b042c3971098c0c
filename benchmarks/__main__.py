"""``python -m benchmarks [--data DIR] [--only NAME ...] [--seeds K]``: run, print, append to RESULTS.md.

``python -m benchmarks calibration [--fast]``, ``repairs STORE`` or ``foreign``: other things, see those files.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch

from benchmarks import (
    calibration,
    cifar,
    foreign,
    machine,
    oneshot,
    poisoning,
    repairs,
    results,
    scheduling,
    table,
    throughput,
    together,
)
from turncoat.data import ImageSet, load
from turncoat.train import place

NAMES = ("poisoning", "throughput", "together", "oneshot", "scheduling", "results", "quick", "full")


def main() -> None:
    """Run what was asked for. What needs real images is left out, and said so, where there are none."""
    own = {"calibration": calibration.main, "repairs": repairs.main, "foreign": foreign.main}
    if sys.argv[1:] and sys.argv[1] in own:
        own[sys.argv[1]](sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    given = os.environ.get("TURNCOAT_REAL_DATA")
    parser.add_argument("--data", type=Path, default=given, help="folder that holds cifar10-jpeg/ (default: $TURNCOAT_REAL_DATA)")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    placement = place()
    where = f"{machine.name(placement)}; torch {torch.__version__}; {placement.precision}"
    if asked.data is None:
        print("no --data DIR: the CIFAR-10 trials are left out, the rest runs on noise")
        folder, train = None, _noise()
    else:
        folder = asked.data / "cifar10-jpeg"
        where += "; CIFAR-10, JPEG copy"
        train = load(f"folder:{folder}").train
    lines: list[table.Line] = []
    if "poisoning" in asked.only:
        lines += poisoning.run(train, placement)
    if "throughput" in asked.only:
        lines += throughput.run(train, placement)
    if "together" in asked.only:
        lines += together.run(placement)
    if "oneshot" in asked.only:
        lines += oneshot.run(placement)
    if "scheduling" in asked.only:
        lines += scheduling.run()
    if "results" in asked.only:
        lines += results.run()
    for preset in ("quick", "full"):
        if preset in asked.only and folder is not None:
            lines += cifar.run(folder, placement, preset, asked.seeds)
    print(table.append(", ".join(asked.only), where, lines))


def _noise() -> ImageSet:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50_000, 3, 32, 32), dtype=torch.uint8, generator=draw)
    return ImageSet(images, torch.arange(50_000) % 10, tuple("0123456789"))


if __name__ == "__main__":
    main()
