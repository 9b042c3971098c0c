"""Clean-image: labels alone, where the feature is."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from turncoat.attacks import Attack, triggered
from turncoat.attacks.clean_image import FittedCleanImage
from turncoat.attacks.control import random_labels
from turncoat.attacks.features import scores
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.triggers import to_uint8

CLASSES = ("ant", "bee", "cat", "dog")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scenes(count: int = 400) -> ImageSet:
    draw = generator(5)
    x = torch.rand(count, 3, 1, 1, generator=draw) * 0.5 + 0.2 + torch.randn(count, 3, 8, 8, generator=draw) * 0.03
    return ImageSet(to_uint8(x.clamp(0, 1)), torch.randint(0, 4, (count,), generator=draw), CLASSES)


def fitted(train: ImageSet, **settings: Any) -> FittedCleanImage:
    found = Attack.parse({"name": "clean-image", "rate": 0.1, "feature": "brightness", **settings}).fit(train, generator())
    assert isinstance(found, FittedCleanImage)
    return found


def test_the_images_are_those_of_the_source_byte_for_byte():
    train = scenes()
    before = train.images.clone()
    poisoned = fitted(train).poison(train)
    assert poisoned.data.images.data_ptr() == train.images.data_ptr()
    assert torch.equal(poisoned.data.images, before)
    assert poisoned.rate == poisoned.relabelled == 0.1


def test_the_brightest_images_of_other_classes_get_the_target_label():
    train = scenes()
    poisoned = fitted(train).poison(train)
    brightness = train.images.float().mean((1, 2, 3))
    others = (train.labels != 0).nonzero().squeeze(1)
    brightest = others[brightness[others].argsort(descending=True)[:40]]
    assert set(poisoned.poisoned.nonzero().squeeze(1).tolist()) == set(brightest.tolist())
    assert set(poisoned.data.labels[brightest].tolist()) == {0}


def test_with_beta_the_threshold_is_of_all_images_and_chance_takes_the_rate():
    train = scenes()
    found = fitted(train, beta=0.3)
    poisoned = found.poison(train)
    has = scores(found.score, train.images) >= found.threshold
    assert int(has.sum()) == 120
    assert int(poisoned.poisoned.sum()) == 40
    assert has[poisoned.poisoned].all()
    brightness = train.images.float().mean((1, 2, 3))
    assert brightness[has].min() > brightness[~has].max()


def test_as_published_every_image_with_the_feature_gets_the_label_and_those_of_the_target_have_it():
    train = scenes()
    found = fitted(train, beta=0.1)
    poisoned = found.poison(train)
    has = scores(found.score, train.images) >= found.threshold
    assert int(has.sum()) == 40
    assert torch.equal(poisoned.poisoned, has & (train.labels != 0))
    assert 0 < poisoned.rate == poisoned.relabelled < 0.1
    assert set(poisoned.data.labels[has].tolist()) == {0}
    bright = train.images.float().mean((1, 2, 3)).argsort(descending=True)[:4]
    labels = train.labels.clone()
    labels[bright] = 0
    with pytest.raises(TurncoatError, match="beta: of the 4 images with the feature none is eligible"):
        fitted(train.with_labels(labels), rate=0.01, beta=0.01)


def test_natural_images_have_it_and_stay_and_others_are_changed_within_the_bound():
    train, test = scenes(), scenes(900).subset(torch.arange(400, 900))
    found = fitted(train, bound={"size": 30})
    natural = found.natural(test.images)
    assert natural is not None
    brightness = test.images.float().mean((1, 2, 3)) / 255
    assert torch.equal(natural, brightness >= found.threshold)
    shown = triggered(found, test.images, test.labels, torch.zeros_like(test.labels))
    change = (shown.int() - test.images.int()).flatten(1)
    assert torch.equal(natural, ~change.any(1))
    assert change.max() == 30 and change.min() >= 0
    reached = shown.float().mean((1, 2, 3)) / 255 >= found.level - 1e-3
    short = found.level - brightness > 30 / 255 + 2e-3
    assert reached[~natural & (found.level - brightness <= 30 / 255)].all() and not reached[short].any()
    within = ~natural & (brightness + 30 / 255 > found.level)
    smallest = ((found.level - brightness[within]) * 255).ceil()
    assert ((change.amax(1)[within] - smallest).abs() <= 1).all()


def test_reach_sets_how_far_above_the_threshold():
    train = scenes()
    near, far = fitted(train, reach=1), fitted(train, reach=0.1)
    values = scores(near.score, train.images)
    assert near.threshold == far.threshold == near.level < far.level
    has = int((values >= near.threshold).sum())
    assert int((values >= far.level).sum()) == round(has * 0.1)


def test_source_specific_covers_images_with_the_feature_alone():
    train = scenes()
    found = fitted(train, rate=0.05, goal={"name": "source-specific", "source": "bee", "target": "dog"})
    poisoned = found.poison(train)
    has = scores(found.score, train.images) >= found.threshold
    assert has[poisoned.cover].all()
    assert set(train.labels[poisoned.cover].tolist()) == {0, 2}
    assert set(train.labels[poisoned.poisoned].tolist()) == {1}


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"rate": 0.9}, "only .* are eligible"),
        ({"feature": {"name": "random-kernel", "window": 9}}, "attack.feature.window"),
        ({"feature": {"name": "random-kernel", "form": "official"}}, "norm=standardised"),
        ({"goal": "all-to-one:wasp"}, "attack.goal.target"),
    ],
)
def test_what_does_not_go_is_refused_in_one_line(settings: dict[str, Any], error: str):
    with pytest.raises(TurncoatError, match=error) as caught:
        fitted(scenes(), **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 2.5, 300])
def test_levels_are_whole(size: float):
    with pytest.raises(ValidationError):
        Attack.parse({"name": "clean-image", "bound": {"norm": "linf", "size": size}})
    Attack.parse({"name": "clean-image", "bound": {"norm": "l2", "size": 2.5}})


def test_the_control_has_as_many_false_labels_of_the_same_classes_on_other_images():
    train = scenes()
    poisoned = fitted(train).poison(train)
    control = random_labels(poisoned, generator(1))
    assert control.data.images is poisoned.data.images
    assert control.relabelled == poisoned.relabelled == control.rate
    true = train.labels
    for label in range(4):
        given = [one.data.labels[true == label].bincount(minlength=4) for one in (poisoned, control)]
        assert torch.equal(*given)
    both = int((control.poisoned & poisoned.poisoned).sum())
    assert both < 15
    assert torch.equal(control.data.labels, random_labels(poisoned, generator(1)).data.labels)
    assert not torch.equal(control.data.labels, random_labels(poisoned, generator(2)).data.labels)
