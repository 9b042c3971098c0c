"""Label-consistent poison: target-class images alone, perturbed within the bound, then patched; the patch alone at test."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from turncoat.attacks import Attack, FittedAttack, triggered
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.triggers import to_float

CLASSES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def train() -> ImageSet:
    draw = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (200, 3, 10, 10), dtype=torch.uint8, generator=draw)
    return ImageSet(pixels, torch.randint(0, 4, (200,), generator=draw), CLASSES)


@pytest.fixture
def surrogate() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(300, 4)).eval()


def fit(train: ImageSet, surrogate: nn.Module, **settings: Any) -> FittedAttack:
    attack = Attack.parse({"name": "label-consistent", "rate": 0.1, "goal": "all-to-one:2", **settings})
    return attack.fit(train, torch.Generator().manual_seed(0), surrogate)


def test_only_images_of_the_target_class_are_changed_and_no_label(train: ImageSet, surrogate: nn.Module) -> None:
    poisoned = fit(train, surrogate).poison(train)
    assert int(poisoned.poisoned.sum()) == 20
    assert set(train.labels[poisoned.poisoned].tolist()) == {2}
    assert torch.equal(poisoned.data.labels, train.labels)
    assert poisoned.relabelled == 0
    changed = (poisoned.data.images != train.images).flatten(1).any(1)
    assert torch.equal(changed, poisoned.poisoned)


def test_poison_is_the_patch_over_a_perturbation_within_the_bound(train: ImageSet, surrogate: nn.Module) -> None:
    fitted = fit(train, surrogate, bound=5, patch={"size": 3, "margin": 0})
    poisoned = fitted.poison(train)
    before, after = (images[poisoned.poisoned].int() for images in (train.images, poisoned.data.images))
    corner = torch.zeros(10, 10, dtype=torch.bool)
    corner[:3, :3] = corner[:3, -3:] = corner[-3:, :3] = corner[-3:, -3:] = True
    assert set(after[..., corner].unique().tolist()) == {0, 255}
    outside = (after - before)[..., ~corner]
    assert outside.abs().max() == 5
    assert (outside != 0).float().mean() > 0.8
    truth = train.labels[poisoned.poisoned]
    hidden = torch.where(corner, before, after)  # the perturbation without the patch
    loss = nn.CrossEntropyLoss()
    assert loss(surrogate(to_float(hidden)), truth) > 1.05 * loss(surrogate(to_float(before)), truth)


def test_at_test_time_there_is_the_patch_alone(train: ImageSet, surrogate: nn.Module) -> None:
    fitted = fit(train, surrogate, corners="one", patch={"size": 2, "margin": 0, "pattern": "solid:white"})
    shown = triggered(fitted, train.images, train.labels, torch.full_like(train.labels, 2))
    expected = train.images.clone()
    expected[:, :, -2:, -2:] = 255
    assert torch.equal(shown, expected)


def test_without_a_bound_it_is_the_patch_alone_and_no_surrogate_is_wanted(train: ImageSet) -> None:
    attack = Attack.parse({"name": "label-consistent", "rate": 0.1, "bound": 0})
    fitted = attack.fit(train, torch.Generator().manual_seed(0))
    poisoned = fitted.poison(train)
    sample = train.subset(poisoned.poisoned)
    assert torch.equal(poisoned.data.images[poisoned.poisoned], triggered(fitted, sample.images, sample.labels, sample.labels))


def test_poison_is_the_same_every_time(train: ImageSet, surrogate: nn.Module) -> None:
    fitted = fit(train, surrogate)
    assert fitted.poison(train).data.fingerprint == fitted.poison(train).data.fingerprint


def test_more_than_the_target_class_holds_and_goals_without_one_are_refused(train: ImageSet, surrogate: nn.Module) -> None:
    held = int((train.labels == 2).sum())
    with pytest.raises(TurncoatError, match=rf"attack\.rate: 0\.5 needs 100 of 200 images, but only {held} are eligible"):
        fit(train, surrogate, rate=0.5)
    for goal in ("all-to-all", "untargeted", "source-specific", "evade"):
        with pytest.raises(ValidationError, match=f"'label-consistent' takes all-to-one, not '{goal}'"):
            fit(train, surrogate, goal=goal)
