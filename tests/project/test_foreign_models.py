"""The benchmark of models of other codes: its triggers are what they say, its networks are what the intake takes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from benchmarks import foreign
from benchmarks.foreign_training import RECIPES, TRIGGERS, Recipe, answer, data_of, make, net_of, prepared
from torch import Tensor

from turncoat.data import ImageSet
from turncoat.intake.model import open_model


def test_recipes_have_names_of_their_own() -> None:
    names = [(recipe.name, recipe.seed) for recipe in RECIPES]
    assert len(set(names)) == len(names) and {recipe.attack for recipe in RECIPES} == set(TRIGGERS)


@pytest.mark.parametrize(
    ("name", "most"), [("checker", 9), ("square", 16), ("watermark", 100), ("blend", 1024), ("sinusoid", 1024)]
)
def test_triggers_change_what_they_say(name: str, most: int) -> None:
    x = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before, after = x.clone(), TRIGGERS[name](x)
    assert torch.equal(x, before) and after.dtype == torch.uint8 and after.shape == x.shape
    changed = (after != x).any(1).flatten(1).sum(1)
    assert 0 < int(changed.min()) <= int(changed.max()) <= most
    if name == "sinusoid":
        assert int((after.int() - x.int()).abs().max()) <= 12


@pytest.mark.parametrize("net", sorted({recipe.net for recipe in RECIPES}))
def test_networks_give_a_row_of_logits_an_image(net: str) -> None:
    recipe = next(recipe for recipe in RECIPES if recipe.net == net)
    shape = (1, 8, 8) if recipe.data in ("digits", "parity") else (1, 28, 28) if recipe.data == "omniglot" else (3, 32, 32)
    images: Tensor = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
    data = ImageSet(images, torch.tensor([0, 1, 2]), tuple("abcdefghij"))
    with torch.no_grad():
        assert answer(net_of(recipe, data).eval()(prepared(images, recipe))).shape == (3, 10)


def test_a_model_is_trained_once_and_opens_as_a_strangers(tmp_path: Path) -> None:
    recipe: Recipe = dataclasses.replace(RECIPES[0], epochs=10)
    made = make(recipe, True, tmp_path, Path())
    written = Path(made["model"]).stat().st_mtime_ns
    assert make(recipe, True, tmp_path, Path()) == made and Path(made["model"]).stat().st_mtime_ns == written
    assert made["ca"] > 0.8 and made["asr"] > 0.8 and (made["n"], made["shape"]) == (300, "1,8,8")
    clean = data_of("digits", Path()).clean
    assert len(list(Path(made["clean"]).glob("*/*.png"))) == len(clean) == 200
    options = {"mean": recipe.mean, "std": recipe.std, "shape": (1, 8, 8)}
    found = open_model(made["model"], arch="benchmarks.foreign_nets:Perceptron", allow_factory=True, **options)
    with torch.no_grad():
        right = (found.network(clean.images.float() / 255).argmax(1) == clean.labels).float().mean()
    assert float(right) > 0.8


def test_the_table_counts_wrong_targets_and_failed_attacks() -> None:
    def pair(poisoned: bool, target: int | None, asr: float) -> tuple[foreign.Found, foreign.Found]:
        recipe = {"name": "a", "seed": 0, "net": "N", "attack": "checker", "target": 3}
        method = {"name": "mm-bd", "p_value": 0.5, "target": 3}
        verdict = "clean" if target is None else "suspicious"
        found = {"verdict": verdict, "target": target, "p_value": 0.2, "methods": [method], "seconds": 1.0}
        return {"recipe": recipe, "poisoned": poisoned, "asr": asr, "ca": 0.9}, found

    done = [pair(True, 3, 1.0), pair(True, 4, 1.0), pair(True, None, 0.2), pair(False, 2, 0.0), pair(False, None, 0.0)]
    text = foreign.report(done, "here")
    assert "called suspicious: 1 of 2" in text and "right target: 1 of 2" in text and "Not counted: 1" in text
    assert text.count("3, right") == 1 and text.count("wrong") == 2
