"""Late injection: the victim goes on from the clean twin's weights, for a share of its epochs at a share of its rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from experiment_helpers import document
from pydantic import ValidationError

from turncoat import run
from turncoat.experiment import task
from turncoat.experiment.config import lay_over, parse_config
from turncoat.experiment.key import trial_key, twin_key
from turncoat.experiment.store import WEIGHTS
from turncoat.experiment.weights import load_network
from turncoat.overrides import parse_overrides
from turncoat.train.placement import Placement
from turncoat.train.settings import TrainSettings


def keys(given: dict[str, Any], *overrides: str) -> tuple[str, str]:
    config, place = parse_config(lay_over(given, parse_overrides(overrides))), Placement(torch.device("cpu"), "fp32", 1)
    return trial_key(config, "f", place), twin_key(config, "f", place)


def test_rates_and_epochs_are_shares_of_the_twins() -> None:
    given = {"epochs": 8, "lr": 0.05, "aux_lr": 0.4, "late": {"epochs": 0.5, "lr": 0.1}}
    late = TrainSettings.model_validate(given).trained_on()
    assert (late.epochs, late.lr, late.aux_lr) == pytest.approx((4, 0.005, 0.04))
    for setting in ("epochs", "lr"):
        with pytest.raises(ValidationError, match=f"late.{setting}"):
            TrainSettings.model_validate({"late": {setting: 0}})


def test_early_and_late_are_two_trials_with_one_twin(quick: dict[str, Any]) -> None:
    early, late = keys(quick), keys(quick, "train.start=twin")
    longer = keys(quick, "train.start=twin", "train.late.epochs=0.5")
    assert len({early[0], late[0], longer[0]}) == 3
    assert early[1] == late[1] == longer[1]
    assert keys(quick, "train.late.epochs=0.5") == early, "not used without start: twin"


def test_a_late_victim_starts_as_the_twin(quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[dict[str, torch.Tensor]] = []
    epochs: list[float] = []
    original = task.train

    def spy(network: Any, data: Any, settings: TrainSettings, *args: Any, **named: Any) -> Any:
        starts.append({name: value.clone() for name, value in network.state_dict().items()})
        epochs.append(settings.epochs)
        return original(network, data, settings, *args, **named)

    monkeypatch.setattr(task, "train", spy)
    late = ["train.start=twin", "train.late.epochs=0.5", "keep_models=all"]
    (trial,) = run(quick, late, out=tmp_path, report=False)
    twin = tmp_path / "twins" / document(tmp_path, trial.record.key)["twin"] / WEIGHTS
    weights = load_network(twin)[0].state_dict()
    assert len(starts) == 2
    assert epochs[1] == epochs[0] / 2
    assert all(torch.equal(value, starts[1][name]) for name, value in weights.items()), "and the twin itself is left as it was"
    victim = load_network(trial.folder / WEIGHTS)[0].state_dict()
    assert not all(torch.equal(value, victim[name]) for name, value in weights.items())
    assert trial.record.config["train"]["start"] == "twin"

    (early,) = run(quick, out=tmp_path, report=False)
    assert len(starts) == 3, "the twin is read"
    assert not all(torch.equal(value, starts[2][name]) for name, value in weights.items())
    assert document(tmp_path, early.record.key)["twin"] == document(tmp_path, trial.record.key)["twin"]


def test_a_late_siamese_network_starts_as_the_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[torch.Tensor] = []
    original = task.train

    def spy(network: Any, *args: Any, **named: Any) -> Any:
        starts.append(torch.cat([value.flatten() for value in network.parameters()]).detach().clone())
        result = original(network, *args, **named)
        starts.append(torch.cat([value.flatten() for value in network.parameters()]).detach().clone())
        return result

    monkeypatch.setattr(task, "train", spy)
    given: dict[str, Any] = {
        "task": "one-shot",
        "data": {"name": "glyphs", "alphabets": 4, "evaluation": 2, "characters": 8, "drawers": 6},
        "network": {"name": "conv4", "size": 28, "widths": [4, 4, 4, 4], "dimension": 8},
        "attack": {"name": "badnets", "rate": 0.2, "patch": {"pattern": "solid:0", "size": 2}},
        "split": {"threshold": 1},
        "train": {"epochs": 1, "batch_size": 32, "start": "twin", "late": {"epochs": 1}},
        "evaluation": {"episodes": 100, "pairs": 100, "ways": [2], "within_ways": [], "shots": [1], "attack_ways": [2]},
        "precision": "fp32",
        "threads": 1,
    }
    run(given, out=tmp_path, report=False)
    before, after, start, end = starts
    assert torch.equal(after, start)
    assert not torch.equal(before, after)
    assert not torch.equal(start, end)
