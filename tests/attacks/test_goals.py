from typing import Any

import pytest
import torch

from turncoat.attacks import Attack, Goal
from turncoat.attacks.goals import AllToOne, SourceSpecific
from turncoat.attacks.pairgoals import PairGoal
from turncoat.component import members
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError


@pytest.fixture
def data() -> ImageSet:
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    return ImageSet(torch.zeros(6, 1, 4, 4, dtype=torch.uint8), labels, ("10", "cat", "0"))


def goal(settings: Any, data: ImageSet) -> Goal:
    return Goal.parse(settings).resolve(data)


def test_there_are():
    assert [name for name, kind in members(Goal).items() if not issubclass(kind, PairGoal)] == [
        "all-to-all",
        "all-to-one",
        "many-targets",
        "source-specific",
        "untargeted",
    ]


@pytest.mark.parametrize(("target", "index"), [("cat", 1), (1, 1), ("1", 1), ("10", 0), ("0", 2), (0, 0), (2, 2)], ids=repr)
def test_a_class_is_its_name_or_else_its_index(target: object, index: int, data: ImageSet):
    assert goal({"target": target}, data) == AllToOne(target=index)
    if isinstance(target, str):
        assert goal(f"all-to-one:{target}", data) == AllToOne(target=index)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"target": 3}, "attack.goal.target: expected a class, 0 to 2 or one of 10, cat, 0; got 3"),
        ({"target": -1}, "attack.goal.target: expected a class, 0 to 2 or one of 10, cat, 0; got -1"),
        ("all-to-one:dog", "attack.goal.target: expected a class, 0 to 2 or one of 10, cat, 0; got 'dog'"),
        ({"name": "source-specific", "source": 9}, "attack.goal.source: expected a class, 0 to 2 or one of 10, cat, 0; got 9"),
        (
            {"name": "source-specific", "source": "cat", "target": 1},
            "attack.goal: source and target must differ, both are class 1",
        ),
    ],
)
def test_classes_that_are_not_there(settings: Any, line: str, data: ImageSet):
    with pytest.raises(TurncoatError) as caught:
        goal(settings, data)
    assert str(caught.value) == line


def test_the_target_class_never_counts_for_the_asr(data: ImageSet):
    labels = data.labels
    assert goal({"target": "cat"}, data).counted(labels).tolist() == [True, False, True] * 2
    assert goal({"name": "source-specific", "source": 0, "target": 2}, data).counted(labels).tolist() == [True, False, False] * 2
    for name in ("all-to-all", "untargeted"):
        assert goal(name, data).counted(labels).all()


def test_a_constant_network_does_not_win_by_what_is_already_the_target(data: ImageSet):
    labels = data.labels
    for name, share in (("all-to-all", 1 / 3), ("untargeted", 2 / 3)):
        found = goal(name, data)
        hit = found.hit(torch.zeros_like(labels), labels, found.targets(labels, 3))
        assert float(hit.float().mean()) == pytest.approx(share)


def test_targets_are_never_the_true_class(data: ImageSet):
    labels = torch.arange(3).repeat(100)
    untargeted = goal("untargeted", data)
    for draw in (None, torch.Generator().manual_seed(0)):
        targets = untargeted.targets(labels, 3, draw)
        assert (targets != labels).all()
        assert torch.equal(targets, untargeted.targets(labels, 3, draw and torch.Generator().manual_seed(0)))
    assert goal("all-to-all", data).targets(torch.tensor([0, 1, 2]), 3).tolist() == [1, 2, 0]


def test_source_specific_tells_source_cover_and_target_apart(data: ImageSet):
    found = goal({"name": "source-specific", "source": "cat", "target": "0"}, data)
    assert found.eligible(data.labels).tolist() == [False, True, False] * 2
    assert found.leaking(data.labels).tolist() == [True, False, False] * 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(name for name, kind in members(Attack).items() if kind.threat_model == "images+labels"))
def test_rates_that_no_pool_can_give(name: str, data: ImageSet):
    draw, by_source = torch.Generator(), issubclass(SourceSpecific, members(Attack)[name].goals)
    specific = {"name": "source-specific", "source": 1, "target": 0}
    for settings, line in (
        ({"rate": 0.9}, "attack.rate: 0.9 needs 5 of 6 images, but only 4 are eligible"),
        ({"rate": 0.01}, "attack.rate: 0.01 of 6 images is none; use at least 0.167"),
        ({"rate": 0.5, "goal": specific}, "attack.rate: 0.5 needs 3 of 6 images, but only 2 are eligible"),
        ({"rate": 0.3, "goal": specific | {"cover": 3}}, "attack.rate x attack.goal.cover: 0.9 needs 5 of 6 images, but only 2"),
    ):
        if "goal" in settings and not by_source:
            continue
        with pytest.raises(TurncoatError) as caught:
            Attack.parse({"name": name, **settings}).fit(data, draw)
        assert str(caught.value).startswith(line)
    if name == "blended":
        attack = Attack.parse({"name": name, "rate": 0.3, "goal": specific | {"cover": 0}})
        assert not attack.fit(data, draw).poison(data).cover.any()
