"""The attack that CONTRIBUTING.md writes works as it stands there, installed from a package of one's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()


def block(pattern: str) -> str:
    found = re.findall(pattern + r"```", TEXT, re.DOTALL)
    assert len(found) == 1
    return found[0]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH in which the example is installed as a package with its entry point."""
    (tmp_path / "frame.py").write_text(block(r"<!-- example: frame.py -->\n```python\n(.*?)"))
    point = re.fullmatch(r'\[project\.entry-points\."([\w.]+)"\]\n(\w+) = "(\w+)"\n', block(r"```toml\n(.*?)"))
    assert point is not None
    info = tmp_path / "turncoat_frame-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: turncoat-frame\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[{point[1]}]\n{point[2]} = {point[3]}\n")
    return tmp_path


def python(code: str, path: Path) -> str:
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
    answer = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(path)}, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_the_example_attack_poisons_and_triggers_and_explains_a_frame_that_is_too_wide(installed: Path) -> None:
    code = """
import torch
from turncoat.attacks import Attack
from turncoat.component import members
from turncoat.data import load
from turncoat.errors import TurncoatError
assert "frame" in members(Attack)
train = load("digits").train
fitted = Attack.parse({"name": "frame", "rate": 0.1, "level": 1.0}).fit(train, torch.Generator().manual_seed(0))
poisoned = fitted.poison(train)
images = poisoned.data.images[poisoned.poisoned]
assert len(images) == round(0.1 * len(train))
assert (images[:, :, 0] == 255).all() and (images[:, :, :, -1] == 255).all()
x = torch.full((2, 1, 8, 8), 0.5)
y = torch.zeros(2, dtype=torch.int64)
out = fitted.trigger(x, y, y)
assert (out[:, :, 1:-1, 1:-1] == 0.5).all() and int((out == 1).sum()) == 2 * 28
try:
    Attack.parse({"name": "frame", "width": 4}).fit(train, torch.Generator())
except TurncoatError as error:
    print(error)
"""
    assert python(code, installed) == "attack.width: a frame of 4 px leaves nothing of 8x8 images\n"
