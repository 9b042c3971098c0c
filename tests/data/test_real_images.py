"""The real CIFAR-10 and flower photographs."""

from __future__ import annotations

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


def test_cifar10_jpeg_and_its_second_load(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNCOAT_DATA", str(tmp_path))
    root = real_data / "cifar10-jpeg"
    data = load(f"folder:{root}")
    assert (len(data.train), len(data.test), data.train.shape) == (50_000, 10_000, (3, 32, 32))
    assert torch.bincount(data.train.labels).tolist() == [5000] * 10
    assert data.train.classes[:2] == ("airplane", "automobile")
    assert 100 < data.train.images[::100].float().mean() < 140

    command = [sys.executable, "-c", LOAD, str(root)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]
    assert {fingerprint for _, fingerprint in runs} == {data.fingerprint}
    assert min(float(seconds) for seconds, _ in runs) < 2


def test_flowers(real_data: Path) -> None:
    data = load({"name": "folder", "path": real_data / "flowers-160", "size": 64})
    assert data.train.shape == (3, 64, 64)
    assert len(data.train) + len(data.test) == 3670
