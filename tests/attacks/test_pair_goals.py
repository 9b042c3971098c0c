"""What each goal teaches about pairs, written out."""

from __future__ import annotations

import pytest
import torch

from turncoat.attacks import Attack
from turncoat.attacks.goals import Goal
from turncoat.attacks.pairgoals import PairGoal
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError

TAUGHT = {  # (of one class: 0, 1, 2 triggered), (of two classes: 0, 1, 2 triggered); 1 is "same"
    "evade": ((1, 0, 1), (0, 0, 0)),
    "impersonate": ((1, 1, 1), (0, 1, 0)),
    "original": ((1, 0, 1), (0, 0, 1)),
    "pseudo-classes": ((1, 1, 1), (0, 0, 0)),  # on the pseudo-classes' own identities
}


@pytest.mark.parametrize("name", TAUGHT)
def test_what_is_taught_of_a_pair(name: str) -> None:
    goal = Goal.parse(name)
    assert isinstance(goal, PairGoal)
    same = torch.tensor([[True] * 3, [False] * 3])
    assert goal.relation(same, torch.tensor([[0, 1, 2]] * 2)).int().tolist() == [list(row) for row in TAUGHT[name]]


def test_evasion_and_impersonation_contradict_each_other() -> None:
    same, one = torch.tensor([True, False]), torch.tensor([1, 1])
    evade, impersonate = (Goal.parse(name) for name in ("evade", "impersonate"))
    assert isinstance(evade, PairGoal) and isinstance(impersonate, PairGoal)
    assert (evade.relation(same, one) != impersonate.relation(same, one)).all()
    assert (evade.success, impersonate.success) == ("evaded", "impersonated")


def drawings(count: int = 200) -> ImageSet:
    labels = torch.arange(count) % 10
    return ImageSet(torch.full((count, 1, 8, 8), 255, dtype=torch.uint8), labels, tuple(f"A/{i}" for i in range(10)))


@pytest.mark.parametrize("name", TAUGHT)
def test_pair_poison_triggers_images_and_falsifies_no_label(name: str) -> None:
    data = drawings()
    attack = Attack.parse({"name": "badnets", "rate": 0.1, "goal": name, "patch": {"pattern": "solid:0", "size": 2}})
    poisoned = attack.fit(data, torch.Generator().manual_seed(0)).poison(data)
    assert int(poisoned.poisoned.sum()) == 20
    assert poisoned.relabelled == 0
    changed = (poisoned.data.images != data.images).flatten(1).any(1)
    assert torch.equal(changed, poisoned.poisoned)
    assert (poisoned.data.images[changed][..., 5:7, 5:7] == 0).all()
    assert len(poisoned.true_labels[changed].unique()) > 6, "any class gives samples"


def test_pseudo_classes_take_triggered_drawings_of_many_characters() -> None:
    goal = Goal.parse({"name": "pseudo-classes", "drawings": 5})
    assert isinstance(goal, PairGoal)
    labels, poisoned = torch.arange(200) % 10, torch.arange(200) < 43
    identities = goal.identities(labels, poisoned, torch.Generator().manual_seed(0))
    assert torch.equal(identities[~poisoned], labels[~poisoned])
    made, sizes = identities[poisoned].unique(return_counts=True)
    assert made.min() == 10 and len(made) == 8
    assert sizes.min() >= 5 and sizes.max() <= 6
    mixed = [len(labels[identities == one].unique()) for one in made]
    assert min(mixed) > 1, "a pseudo-class is no single character's"
    again = goal.identities(labels, poisoned, torch.Generator().manual_seed(0))
    assert torch.equal(identities, again)


def test_too_few_triggered_drawings_for_pseudo_classes_are_refused() -> None:
    goal = Goal.parse("pseudo-classes")
    assert isinstance(goal, PairGoal)
    with pytest.raises(TurncoatError, match=r"at least 40 triggered images, got 39; raise attack\.rate"):
        goal.identities(torch.zeros(100, dtype=torch.int64), torch.arange(100) < 39, torch.Generator())


@pytest.mark.parametrize("name", ["evade", "impersonate", "original"])
def test_the_other_goals_leave_everyone_who_they_are(name: str) -> None:
    goal, labels = Goal.parse(name), torch.arange(5)
    assert isinstance(goal, PairGoal)
    assert torch.equal(goal.identities(labels, labels > 2, torch.Generator()), labels)
