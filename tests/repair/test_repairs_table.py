"""Every repair, found by scanning: it removes a planted backdoor, keeps the accuracy, touches nothing that it was given."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import nn

from turncoat.component import members
from turncoat.errors import TurncoatError
from turncoat.repair.base import Defender, Repair

ALL = sorted(members(Repair))
TUNED = {"steps": 40, "rates": [0.005, 0.002]}
QUICK: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("consistency", "fine-pruning", "fine-tuning", "ft-sam", "nad", "unlearning"), TUNED),
    "anp": {"mask_steps": 30},
    "i-bau": {"rounds": 1, "steps": 8},
    "rnp": {"unlearning": 20, "mask_steps": 40},
}
"""Less than the defaults: enough to show what is the same for all."""
MADE: dict[str, Any] = {}


def _quick(name: str) -> Repair:
    return Repair.parse({"name": name, **QUICK.get(name, {})})


def _repaired(name: str, planted: Any) -> Any:
    """Each method's network, made once for all tests of this file, and the weights that the one given had before."""
    if name not in MADE:
        given = {key: value.clone() for key, value in planted.victim.state_dict().items()}
        MADE[name] = _quick(name).repair(planted.victim, planted.defender()), given
    return MADE[name]


def test_all_are_found() -> None:
    assert {"anp", "clp", *QUICK} <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_says_what_it_is(name: str) -> None:
    found = members(Repair)[name]
    assert found.paper and found.summary() and repr(Repair.parse(name)).startswith(found.__name__)


@pytest.mark.parametrize("name", ALL)
def test_keeps_the_accuracy_and_leaves_what_it_was_given(name: str, planted: Any) -> None:
    made, given = _repaired(name, planted)
    assert planted.ca(made.network) >= planted.ca(planted.victim) - 0.05
    assert not made.network.training and made.network is not planted.victim
    for key, value in planted.victim.state_dict().items():
        assert torch.equal(value, given[key]), key
    assert made.network.state_dict().keys() == given.keys()
    assert all(bool(value.isfinite().all()) for value in made.network.state_dict().values())
    assert all(isinstance(value, float) for value in made.details.values())


@pytest.mark.parametrize(("name", "left"), [("consistency", 0.2), ("unlearning", 0.05)])
def test_removes_a_planted_backdoor(name: str, left: float, planted: Any) -> None:
    assert planted.asr(planted.victim) > 0.9
    made = Repair.parse(name).repair(planted.victim, planted.defender())
    assert planted.asr(made.network) < left


@pytest.mark.parametrize("name", ALL)
def test_a_clean_network_stays_as_accurate(name: str, planted: Any) -> None:
    made = _quick(name).repair(planted.twin, planted.defender())
    assert planted.ca(made.network) >= planted.ca(planted.twin) - 0.05


@pytest.mark.parametrize("name", ALL)
def test_the_same_again_and_the_recovered_trigger_decides_nothing_but_in_unlearning(name: str, planted: Any) -> None:
    made, _ = _repaired(name, planted)
    again = planted.defender(trigger=Repair.parse(name).needs_trigger)
    found = _quick(name).repair(planted.victim, again).network.state_dict()
    for key, value in made.network.state_dict().items():
        assert torch.equal(value, found[key]), key


@pytest.mark.parametrize("name", ALL)
def test_needs_what_it_says(name: str, planted: Any) -> None:
    repair = Repair.parse(name)
    if repair.needs_images:
        with pytest.raises(TurncoatError, match="clean images"):
            repair.repair(planted.victim, planted.defender(images=False))
    if repair.needs_trigger:
        with pytest.raises(TurncoatError, match="trigger"):
            repair.repair(planted.victim, planted.defender(trigger=False))


def test_no_test_image_and_no_truth_can_reach_a_repair() -> None:
    """Mistake 2: a stopping point chosen by test images or by the attack's success. There is no way to hand these over."""
    assert {field.name for field in fields(Defender)} == {
        "train",
        "validation",
        "shape",
        "placement",
        "seed",
        "trigger",
        "target",
    }


def test_a_frozen_network_can_be_repaired(planted: Any) -> None:
    frozen = nn.Sequential(planted.victim).requires_grad_(False)
    try:
        made = _quick("fine-tuning").repair(frozen, planted.defender())
        assert planted.ca(made.network) > 0.9
    finally:
        planted.victim.requires_grad_(True)
