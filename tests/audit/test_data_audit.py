"""`audit_data` on digits with planted poison: what it estimates, against the truth."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

import turncoat
from turncoat.attacks.base import Attack
from turncoat.audit.data import DataAudit, audit_data
from turncoat.data.imageset import ImageSet
from turncoat.seeds import generator

PIXELS = ("duplicate-patch", "common-component", "frequency")


@cache
def digits() -> ImageSet:
    return turncoat.load("digits").train


def planted(**attack: object) -> tuple[ImageSet, Tensor]:
    poisoned = Attack.parse(attack).fit(digits(), generator(0, "poison")).poison(digits())
    return poisoned.data, poisoned.poisoned


@cache
def whole() -> tuple[DataAudit, Tensor]:
    """All methods on digits with BadNets of 5%."""
    data, poisoned = planted(name="badnets", rate=0.05)
    return audit_data(data), poisoned


@pytest.mark.parametrize("rate", [0.05, 0.1])
def test_the_estimated_number_is_about_right(rate: float) -> None:
    data, poisoned = planted(name="badnets", rate=rate)
    found, true = audit_data(data, methods=PIXELS), int(poisoned.sum())
    assert found.verdict == "suspicious"
    assert 0.7 * true < found.estimated < 1.3 * true
    clean = float((~poisoned[found.suspects]).double().mean())
    assert abs(clean - found.false_discovery_rate) < 0.1


def test_methods_that_find_the_same_poison_do_not_add_up() -> None:
    found, poisoned = whole()
    true = int(poisoned.sum())
    assert sum(one.stands_out for one in found.combined.evaluated) > 2
    assert 0.7 * true < found.estimated < 1.3 * true


def test_nothing_is_estimated_of_clean_digits() -> None:
    found = audit_data(digits(), methods=PIXELS)
    assert (found.verdict, found.estimated, len(found.suspects), found.to_inspect) == ("clean", 0, 0, 0)


def test_false_labels_of_one_class_are_asked_about_twice() -> None:
    draw = torch.Generator().manual_seed(0)
    wrong = torch.zeros(len(digits()), dtype=torch.bool)
    wrong[torch.randperm(len(wrong), generator=draw)[:90]] = True
    wrong &= digits().labels != 3
    data = digits().with_labels(torch.where(wrong, 3, digits().labels))
    found = audit_data(data, methods=("label-doubt",))
    assert "cross-training again" in found.shared
    assert found.estimated == pytest.approx(int(wrong.sum()), rel=0.3)
    assert float(wrong[found.suspects].double().mean()) > 0.8
    assert float((found.likely[wrong] == digits().labels[wrong]).double().mean()) > 0.8
