"""``attack: none``: a clean network on its own, which is the twin of any attack on the same configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from turncoat.experiment.config import lay_over, parse_config
from turncoat.experiment.run import run
from turncoat.experiment.table import results
from turncoat.overrides import parse_overrides


def test_a_clean_trial_is_the_twin_of_an_attack(quick: dict[str, Any], tmp_path: Path) -> None:
    (clean,) = run(quick, ["attack=none"], out=tmp_path)
    assert clean.record.attack.name == "none"
    assert clean.record.poison is None
    assert {row.method for row in clean.record.rows} == {"victim"}
    assert {row.metric for row in clean.record.rows} == {"ca", "peak_memory_mb"}
    assert (clean.folder / "model.safetensors").is_file()
    assert not (clean.folder / "manifest.csv").exists()
    (attacked,) = run(quick, out=tmp_path)
    assert len(list((tmp_path / "twins").glob("*"))) == 1
    twin = {(r.metric, r.group): r.value for r in attacked.record.rows if r.method == "clean-twin" and r.metric == "ca"}
    assert twin == {(r.metric, r.group): r.value for r in clean.record.rows if r.metric == "ca"}
    assert run(quick, ["attack=none"], out=tmp_path)[0].cached
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2 configurations" in page
    assert set(results(tmp_path, "ca")["attack"]) == {"none", "badnets"}


def test_the_page_of_a_clean_trial_says_so(quick: dict[str, Any], tmp_path: Path) -> None:
    run(quick, ["attack=none"], out=tmp_path)
    assert "A clean network: nothing was poisoned. Clean accuracy" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("override", ["attack=none", "attack={name: none}", "attack=null"])
def test_none_takes_the_attack_away(quick: dict[str, Any], override: str) -> None:
    assert parse_config(lay_over(quick, parse_overrides([override]))).attack is None


def test_a_clean_trial_that_diverges_is_told(quick: dict[str, Any], tmp_path: Path) -> None:
    (trial,) = run(quick, ["attack=none", "train.lr=1e9", "train.epochs=2"], out=tmp_path)
    found = json.loads((trial.folder / "trial.json").read_text())
    assert found["status"] == "diverged"
    assert found["error"].startswith("clean network: training diverged")
