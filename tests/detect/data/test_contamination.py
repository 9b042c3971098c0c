"""Classes of two kinds in features, and two normal distributions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from turncoat.detect.data.contamination import strangers, two_normals
from turncoat.detect.metrics import auroc

CLASSES, EACH = 5, 400


def seen(poison: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, labels, doubt and truth: class 0 has images of the others besides, which a natural feature moved towards it."""
    draw = torch.Generator().manual_seed(0)
    true = torch.cat([torch.arange(CLASSES).repeat_interleave(EACH), 1 + torch.arange(poison) % (CLASSES - 1)])
    truth = torch.arange(len(true)) >= CLASSES * EACH
    spread = torch.linspace(0.2, 4, 30)  # classes vary most where they differ least
    features = 5 * torch.eye(CLASSES, 30)[true] + spread * torch.randn(len(true), 30, generator=draw)
    features[truth] = features[truth] / 2 + 2.5 * torch.eye(CLASSES, 30)[0]
    labels = torch.where(truth, 0, true)
    doubt = 0.02 * truth + 0.05 * torch.rand(len(true), generator=draw)
    return features, labels, doubt.double(), truth


@pytest.mark.parametrize("poison", [60, 200])
def test_images_of_other_classes_are_told_from_those_of_the_class(poison: int) -> None:
    features, labels, doubt, truth = seen(poison)
    found, own = strangers(features, labels, 0, doubt), labels == 0
    assert auroc(found[own], truth[own]) > 0.97
    assert float(found.sum()) == pytest.approx(poison, rel=0.3)
    assert not found[~own].any()


def test_scale_and_place_of_features_do_not_matter() -> None:
    features, labels, doubt, _ = seen(200)
    moved = 7 + features * torch.linspace(0.5, 2, 30)
    assert torch.allclose(strangers(features, labels, 0, doubt), strangers(moved, labels, 0, doubt), atol=0.02)


def test_more_than_half_of_a_class_are_no_strangers() -> None:
    features, labels, doubt, _ = seen(200)
    own = labels == 0
    assert not strangers(features, labels, 0, torch.where(own, 1 - doubt, doubt)).any()


def test_two_normals() -> None:
    draw = torch.Generator().manual_seed(1)
    values = torch.randn(1000, generator=draw, dtype=torch.float64)
    values[:250] += 5
    upper = two_normals(3 * values - 40)
    assert float(upper.sum()) == pytest.approx(250, abs=5)
    assert bool((upper[:250] > 0.5).double().mean() > 0.98)
