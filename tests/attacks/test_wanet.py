from typing import Any

import pytest
import torch
from pydantic import ValidationError

from turncoat.attacks import Attack, Poisoned, triggered
from turncoat.attacks.base import FittedAttack
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError


def images(count: int = 400, size: int = 16) -> ImageSet:
    draw = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=draw)
    return ImageSet(pixels, torch.arange(count) % 4, ("ant", "bee", "cat", "dog"))


def planted(train: ImageSet, seed: int = 0, **settings: Any) -> tuple[FittedAttack, Poisoned]:
    attack = Attack.parse({"name": "wanet", "rate": 0.1, "goal": "all-to-one:1", **settings})
    fitted = attack.fit(train, torch.Generator().manual_seed(seed))
    return fitted, fitted.poison(train)


def test_a_tenth_is_poisoned_and_twice_as_many_are_cover_with_their_true_labels():
    train = images()
    _, poisoned = planted(train)
    assert (int(poisoned.poisoned.sum()), int(poisoned.cover.sum())) == (40, 80)
    assert set(train.labels[poisoned.poisoned].tolist()) == {0, 2, 3}
    assert set(poisoned.data.labels[poisoned.poisoned].tolist()) == {1}
    assert torch.equal(poisoned.data.labels[poisoned.cover], train.labels[poisoned.cover])
    assert set(train.labels[poisoned.cover].tolist()) == {0, 1, 2, 3}
    assert (poisoned.rate, poisoned.relabelled, poisoned.class_rate) == (0.1, 0.1, None)


def test_poisoned_images_are_warped_as_at_test_time_and_cover_images_by_a_disturbed_field():
    train = images()
    fitted, poisoned = planted(train)
    shown = triggered(fitted, train.images, train.labels, train.labels)
    assert torch.equal(poisoned.data.images[poisoned.poisoned], shown[poisoned.poisoned])
    cover, same = poisoned.data.images[poisoned.cover], shown[poisoned.cover]
    assert (cover != same).flatten(1).any(1).all()
    assert (cover != train.images[poisoned.cover]).flatten(1).any(1).all()
    rest = ~(poisoned.poisoned | poisoned.cover)
    assert torch.equal(poisoned.data.images[rest], train.images[rest])


def test_cover_images_of_one_picture_differ_even_across_chunks():
    one = images(1, size=32)
    train = ImageSet(one.images.expand(1200, -1, -1, -1).contiguous(), torch.arange(1200) % 4, one.classes)
    fitted, poisoned = planted(train, cover=5)
    cover = poisoned.data.images[poisoned.cover].flatten(1)
    assert len(cover) == 600
    assert len(cover.unique(dim=0)) == 600
    assert len(poisoned.data.images[poisoned.poisoned].flatten(1).unique(dim=0)) == 1
    assert torch.equal(fitted.poison(train).data.images, poisoned.data.images), "the same call gives the same answer"


def test_the_field_follows_the_poison_seed():
    train = images()
    shown = [triggered(planted(train, seed)[0], train.images, train.labels, train.labels) for seed in (0, 0, 1)]
    assert torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0], shown[2])


def test_no_noise_mode_no_cover():
    train = images()
    assert not planted(train, cover=0)[1].cover.any()


def test_what_is_refused():
    with pytest.raises(ValidationError, match="'wanet' takes all-to-one, all-to-all, untargeted, not 'source-specific'"):
        planted(images(), goal="source-specific")
    with pytest.raises(TurncoatError, match=r"^attack.grid: 20 x 20 points do not fit into images of 16x16$"):
        planted(images(), grid=20)
    with pytest.raises(TurncoatError, match=r"attack.rate x attack.cover: 1 needs 400 of 400 images, but only 360"):
        planted(images(), cover=10)
