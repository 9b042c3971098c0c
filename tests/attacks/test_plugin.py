"""A third-party attack: a five-line module and an entry point, as an installed package has them."""

import json
import os
import subprocess
import sys
from pathlib import Path

MODULE = '''
from typing import Literal

from turncoat.attacks import Composed


class White(Composed):
    """All white."""

    paper, threat_model = "Nobody, 2026", "images+labels"
    name: Literal["white"] = "white"

    def triggers(self, data, generator):
        return (lambda x: x * 0 + 1,) * 2
'''

USE = """
import torch
from turncoat.attacks import Attack
from turncoat.component import members
from turncoat.data.imageset import ImageSet

assert {"badnets", "white"} <= set(members(Attack)), members(Attack)
train = ImageSet(torch.zeros(20, 1, 4, 4, dtype=torch.uint8), torch.arange(20) % 2, ("a", "b"))
poisoned = Attack.parse({"name": "white", "rate": 0.1}).fit(train, torch.Generator()).poison(train)
print(int(poisoned.data.images.sum()) == 2 * 16 * 255, poisoned.rate, members(Attack)["white"].summary())
"""


def install(site: Path, module: str) -> dict[str, str]:
    (site / "turncoat_white.py").write_text(module)
    info = site / "turncoat_white-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: turncoat-white\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[turncoat.attacks]\nwhite = turncoat_white\n")
    return {**os.environ, "PYTHONPATH": str(site)}


def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_an_installed_attack_is_there_and_poisons(tmp_path: Path):
    done = run(["-W", "error", "-c", USE], install(tmp_path, MODULE))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True 0.1 All white."


def test_it_is_listed_and_runs_by_name(tmp_path: Path):
    environment = install(tmp_path, MODULE)
    listed = run(["-m", "turncoat", "list", "attacks"], environment)
    assert "white" in listed.stdout, listed.stderr
    config = tmp_path / "white.yaml"
    config.write_text("{data: digits, model: small-cnn, attack: {name: white, rate: 0.1}, train: {epochs: 2}, threads: 1}")
    done = run(["-m", "turncoat", "run", str(config), "--json", "--no-report", "--out", str(tmp_path / "runs")], environment)
    assert done.returncode == 0, done.stderr
    (asr,) = [
        row["value"]
        for row in json.loads(done.stdout)["rows"]
        if (row["metric"], row["method"], row["group"]) == ("asr", "victim", "")
    ]
    assert asr > 0.9, "an all-white image is as plain a trigger as can be"


def test_a_broken_one_does_not_take_the_rest_down(tmp_path: Path):
    code = "from turncoat.attacks import Attack; from turncoat.component import members; print(*members(Attack))"
    done = run(["-c", code], install(tmp_path, "import nothing_of_that_name"))
    assert {"badnets", "blended"} <= set(done.stdout.split()), done.stderr
    assert "the plug-in turncoat_white could not be loaded: No module named 'nothing_of_that_name'" in done.stderr


def test_two_of_the_same_name_are_told(tmp_path: Path):
    code = "from turncoat.attacks import Attack; from turncoat.component import members; members(Attack)"
    done = run(["-c", code], install(tmp_path, MODULE.replace('"white"', '"badnets"')))
    assert "two attacks are called 'badnets'" in done.stderr
