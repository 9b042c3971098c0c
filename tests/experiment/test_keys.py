from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from turncoat.attacks.badnets import BadNets
from turncoat.experiment import key as keys
from turncoat.experiment.config import lay_over, parse_config
from turncoat.experiment.key import trial_key, twin_key
from turncoat.models.base import resolve_settings
from turncoat.overrides import parse_overrides
from turncoat.train.placement import Placement

PLACE = Placement(torch.device("cpu"), "fp32", 2)


def both(given: dict[str, Any], *overrides: str, fingerprint: str = "f", placement: Placement = PLACE) -> tuple[str, str]:
    config = parse_config(lay_over(given, parse_overrides(overrides)))
    config = config.model_copy(update={"train": resolve_settings(config.model, config.train)})
    return trial_key(config, fingerprint, placement), twin_key(config, fingerprint, placement)


CHANGES = ["seed=1", "train.lr=0.5", "train.augmentation.crop=2", "model=resnet20", "train.preset=quick"]
POISON = ["attack.rate=0.2", "attack=blended", "attack.goal=all-to-all", "attack.patch.size=3", "attack.patch.pattern=noise:1"]
SAME = ["keep_models=none", "device=cpu", "attack.patch.margin=1", "data={name: digits}"]


def test_a_key_is_short_hexadecimal_and_steady(quick: dict[str, Any]) -> None:
    trial, twin = both(quick)
    assert (trial, twin) == both(quick)
    assert trial != twin
    assert len(trial) == 20
    int(trial, 16)


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_training_changes_both_keys(quick: dict[str, Any], change: str) -> None:
    assert not set(both(quick)) & set(both(quick, change))


@pytest.mark.parametrize("change", POISON)
def test_what_changes_the_poison_leaves_the_twin(quick: dict[str, Any], change: str) -> None:
    (trial, twin), (other, same) = both(quick), both(quick, change)
    assert trial != other
    assert twin == same


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_figure_changes_no_key(quick: dict[str, Any], change: str) -> None:
    assert both(quick) == both(quick, change)


def test_a_preset_and_the_same_settings_spelt_out_are_one_trial(quick: dict[str, Any]) -> None:
    config = parse_config(quick)
    spelt = resolve_settings(config.model, config.train).model_dump(mode="json")
    assert both(quick) == both({**quick, "train": spelt})


def test_data_count_by_content_not_by_path(quick: dict[str, Any]) -> None:
    assert both(quick, "data=folder:a") == both(quick, "data=folder:b")
    assert both(quick, fingerprint="g")[0] != both(quick)[0]


@pytest.mark.parametrize(
    "placement",
    [
        Placement(torch.device("cpu"), "bf16", 2),
        Placement(torch.device("cpu"), "fp32", 1),
        Placement(torch.device("mps"), "fp32", 2),
    ],
)
def test_device_precision_and_threads_count(quick: dict[str, Any], placement: Placement) -> None:
    assert not set(both(quick)) & set(both(quick, placement=placement))


def test_versions_count(quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    before = both(quick)
    with monkeypatch.context() as patch:
        patch.setattr(BadNets, "version", 99)
        assert both(quick)[0] != before[0]
        assert both(quick)[1] == before[1]
    with monkeypatch.context() as patch:
        patch.setattr(keys, "ENGINE_VERSION", 99)
        assert not set(both(quick)) & set(before)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "0.0")
        assert not set(both(quick)) & set(before)


def test_an_image_counts_by_content_not_by_path(quick: dict[str, Any], tmp_path: Path) -> None:
    one, copy = tmp_path / "one.png", tmp_path / "copy.png"
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(one)
    shutil.copy(one, copy)
    before = both(quick, f"attack.patch.pattern=image:{one}")
    assert before == both(quick, f"attack.patch.pattern=image:{copy}")
    Image.fromarray(np.full((4, 4, 3), 9, dtype=np.uint8)).save(one)
    assert both(quick, f"attack.patch.pattern=image:{one}")[0] != before[0]


def test_a_factory_counts_by_its_source(quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_own_net.py").write_text("x = 1\n")
    given = {**quick, "model": {"name": "factory", "factory": "my_own_net:make"}}

    def key() -> str:
        config = parse_config(given, allow_factory=True)
        return twin_key(config, "f", PLACE)

    before = key()
    assert key() == before
    (tmp_path / "my_own_net.py").write_text("x = 2\n")
    assert key() != before
