import pytest
import torch
from pydantic import ValidationError

from turncoat.attacks import Attack, Goal
from turncoat.attacks.goals import AllToAll, AllToOne
from turncoat.attacks.manytargets import ManyTargets, possible_targets
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError

LABELS = torch.arange(5).repeat(400)
DATA = ImageSet(torch.zeros(2000, 1, 2, 2, dtype=torch.uint8), LABELS, ("ant", "bee", "cat", "dog", "eel"))


def test_all_classes_or_those_named():
    assert ManyTargets().resolve(DATA) == ManyTargets(classes=(0, 1, 2, 3, 4))
    assert Goal.parse("many-targets:cat,4").resolve(DATA) == ManyTargets(classes=(2, 4))
    assert Goal.parse({"name": "many-targets", "classes": ["cat", 0, "cat"]}).resolve(DATA) == ManyTargets(classes=(2, 0))
    for wrong, line in (("cat", "expected at least two classes, got 1"), ("cat,fox", "expected a class, .* got 'fox'")):
        with pytest.raises(TurncoatError, match=f"attack.goal.classes: {line}"):
            Goal.parse(f"many-targets:{wrong}").resolve(DATA)


@pytest.mark.parametrize(("classes", "expected"), [("all", {0, 1, 2, 3, 4}), (("bee", "dog"), {1, 3})], ids=str)
def test_targets_are_drawn_from_them_and_never_the_images_own(classes: str, expected: set[int]):
    goal = ManyTargets(classes=classes).resolve(DATA)
    targets = goal.targets(LABELS, 5, torch.Generator().manual_seed(0))
    assert (targets != LABELS).all()
    assert (goal.targets(LABELS, 5) != LABELS).all()
    assert goal.eligible(LABELS).all()
    assert goal.counted(LABELS).all()
    for label in range(5):
        drawn = targets[label == LABELS]
        assert set(drawn.tolist()) == expected - {label}
        assert torch.bincount(drawn, minlength=5).max() < 1.4 * 400 / len(expected - {label}), "evenly"
    assert goal.hit(targets, LABELS, targets).all()
    assert possible_targets(goal, 5) == sorted(expected)


def test_possible_targets_of_other_goals():
    assert possible_targets(AllToOne(target=3), 5) == [3]
    assert possible_targets(AllToAll(), 5) == [0, 1, 2, 3, 4]


def test_it_is_refused_where_all_triggers_are_one():
    with pytest.raises(
        ValidationError, match="'many-targets' is for attacks whose triggers differ by target; those of 'badnets'"
    ):
        Attack.parse({"name": "badnets", "goal": "many-targets"})
