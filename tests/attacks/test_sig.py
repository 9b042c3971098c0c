from typing import Any

import pytest
import torch
from pydantic import ValidationError

from turncoat.attacks import Attack, triggered
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError

CLASSES = ("ant", "bee", "cat", "dog")


def flat(columns: int = 16, level: int = 100, channels: int = 3) -> ImageSet:
    """400 images of one level, a hundred of each class."""
    images = torch.full((400, channels, 4, columns), level, dtype=torch.uint8)
    return ImageSet(images, torch.arange(400) % 4, CLASSES)


def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def sig(**settings: Any) -> Attack:
    return Attack.parse({"name": "sig", "rate": 0.05, "goal": "all-to-one:cat", **settings})


def test_only_the_target_class_is_touched_and_the_rate_is_one_of_the_whole_set():
    train = flat()
    poisoned = sig().fit(train, draw()).poison(train)
    assert int(poisoned.poisoned.sum()) == 20
    assert set(train.labels[poisoned.poisoned].tolist()) == {2}
    assert torch.equal(poisoned.data.labels, train.labels)
    assert poisoned.rate == 0.05
    assert poisoned.class_rate == 0.2
    assert poisoned.relabelled == 0
    assert not poisoned.cover.any()


def test_poisoned_pixels_are_the_sum_with_the_rounded_sinusoid():
    train = flat()
    poisoned = sig(amplitude=20, frequency=6).fit(train, draw()).poison(train)
    columns = torch.arange(1, 17)
    line = (100 + 20 * torch.sin(2 * torch.pi * columns * 6 / 16)).round().to(torch.uint8)
    changed = poisoned.data.images[poisoned.poisoned]
    assert torch.equal(changed, line.expand_as(changed))
    assert torch.equal(poisoned.data.images[~poisoned.poisoned], train.images[~poisoned.poisoned])


def test_the_ramp_ends_at_its_amplitude_and_bright_pixels_are_clipped():
    train = flat(columns=4, level=250)
    poisoned = sig(signal="ramp", amplitude=20).fit(train, draw()).poison(train)
    assert poisoned.data.images[poisoned.poisoned][0, 0, 0].tolist() == [255, 255, 255, 255]
    train = flat(columns=4, level=100)
    poisoned = sig(signal="ramp", amplitude=20).fit(train, draw()).poison(train)
    assert poisoned.data.images[poisoned.poisoned][0, 0, 0].tolist() == [105, 110, 115, 120]


def test_the_test_amplitude_is_the_triggers_alone():
    train = flat(columns=4)
    fitted = sig(signal="ramp", amplitude=20, test_amplitude=40).fit(train, draw())
    poisoned = fitted.poison(train)
    assert poisoned.data.images[poisoned.poisoned][0, 0, 0].tolist() == [105, 110, 115, 120]
    shown = triggered(fitted, train.images[:3], train.labels[:3], train.labels[:3])
    assert shown[0, 0, 0].tolist() == [110, 120, 130, 140]


@pytest.mark.parametrize("goal", ["all-to-all", "untargeted", {"name": "source-specific", "source": 1, "target": 2}, "evade"])
def test_other_goals_are_refused_with_the_configuration(goal: Any):
    with pytest.raises(ValidationError, match="the attack 'sig' takes all-to-one, not '"):
        sig(goal=goal)


def test_a_rate_over_the_target_class_is_refused_not_clamped():
    with pytest.raises(TurncoatError, match=r"0.3 needs 120 of 400 images, but only 100 are eligible .* use at most 0.25"):
        sig(rate=0.3).fit(flat(), draw())
    train = flat()
    poisoned = sig(rate=0.25).fit(train, draw()).poison(train)
    assert torch.equal(poisoned.poisoned, train.labels == 2)
    assert poisoned.class_rate == 1


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"frequency": 8}, "attack.frequency: 8 periods over 16 columns meet every column at a zero; use 7"),
        ({"amplitude": 0.3}, "attack.amplitude: 0.3 of 255 levels is rounded to no change; use at least 1"),
        ({"test_amplitude": 0.3}, "attack.test_amplitude: 0.3 of 255 levels is rounded to no change; use at least 1"),
    ],
)
def test_a_signal_that_changes_nothing_is_refused(settings: dict[str, Any], line: str):
    with pytest.raises(TurncoatError) as caught:
        sig(**settings).fit(flat(), draw())
    assert str(caught.value) == line


def test_an_amplitude_that_clips_everything_is_refused():
    with pytest.raises(ValidationError, match="less than or equal to 255"):
        sig(amplitude=300)


def test_false_labels_have_no_share_of_a_target_class():
    train = flat()
    goal = {"name": "source-specific", "source": 1, "target": 2, "cover": 0}
    attack = Attack.parse({"name": "badnets", "rate": 0.05, "goal": goal, "patch": {"size": 1}})
    poisoned = attack.fit(train, draw()).poison(train)
    assert set(train.labels[poisoned.poisoned].tolist()) == {1}
    assert poisoned.class_rate is None
