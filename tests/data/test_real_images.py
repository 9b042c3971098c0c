"""The real CIFAR-10 and flower photographs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from turncoat.data import load

pytestmark = pytest.mark.real

LOAD = """
import sys, time
from turncoat.data import load
begin = time.perf_counter()
data = load("folder:" + sys.argv[1])
print(time.perf_counter() - begin, data.fingerprint)
"""


def test_second_load_of_60000_jpegs_takes_under_two_seconds(real_data: Path, tmp_path: Path) -> None:
    root = real_data / "cifar10-jpeg"
    environment = {**os.environ, "TURNCOAT_DATA": str(tmp_path)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", LOAD, str(root)], env=environment, capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(3)
    ]
    assert len({fingerprint for _, fingerprint in runs}) == 1
    assert min(float(seconds) for seconds, _ in runs[1:]) < 2


def test_cifar10_jpeg_has_50000_and_10000_images(real_data: Path) -> None:
    data = load(f"folder:{real_data / 'cifar10-jpeg'}")
    assert (len(data.train), len(data.test), data.train.shape) == (50_000, 10_000, (3, 32, 32))
    assert torch.bincount(data.train.labels).tolist() == [5000] * 10
    assert data.train.classes[:2] == ("airplane", "automobile")
    assert 100 < data.train.images[::100].float().mean() < 140


def test_flowers(real_data: Path) -> None:
    data = load({"name": "folder", "path": real_data / "flowers-160", "size": 64})
    assert data.train.shape == (3, 64, 64)
    assert len(data.train) + len(data.test) == 3670
