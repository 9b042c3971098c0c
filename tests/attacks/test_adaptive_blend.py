from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from turncoat.attacks import Attack, Poisoned, triggered
from turncoat.attacks.base import FittedAttack
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError


def black(count: int = 400) -> ImageSet:
    return ImageSet(torch.zeros(count, 3, 8, 8, dtype=torch.uint8), torch.arange(count) % 4, ("ant", "bee", "cat", "dog"))


def planted(train: ImageSet, **settings: Any) -> tuple[FittedAttack, Poisoned]:
    given = {"name": "adaptive-blend", "rate": 0.1, "goal": "all-to-one:1", "pattern": "solid:white", **settings}
    fitted = Attack.parse(given).fit(train, torch.Generator().manual_seed(0))
    return fitted, fitted.poison(train)


def shown_pieces(images: Tensor, level: int) -> Tensor:
    """bool ``(n, 16)``: which pieces of 2x2 pixels are at ``level``; the others are black, and none is mixed."""
    parts = images.view(-1, 3, 4, 2, 4, 2).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    assert ((parts == level).all(-1) | (parts == 0).all(-1)).all()
    return (parts == level).all(-1)


def test_as_many_cover_images_as_poisoned_ones_with_their_true_labels():
    train = black()
    _, poisoned = planted(train)
    assert (int(poisoned.poisoned.sum()), int(poisoned.cover.sum())) == (40, 40)
    assert not (poisoned.poisoned & poisoned.cover).any()
    assert set(poisoned.data.labels[poisoned.poisoned].tolist()) == {1}
    assert torch.equal(poisoned.data.labels[poisoned.cover], train.labels[poisoned.cover])
    assert set(train.labels[poisoned.cover].tolist()) == {0, 1, 2, 3}
    assert (poisoned.rate, poisoned.relabelled) == (0.1, 0.1)


def test_training_shows_half_of_the_sixteen_pieces_at_alpha_each_image_its_own():
    _, poisoned = planted(black())
    touched = poisoned.data.images[poisoned.poisoned | poisoned.cover]
    pieces = shown_pieces(touched, level=round(0.15 * 255))
    assert pieces.sum(1).tolist() == [8] * 80
    assert len(pieces.unique(dim=0)) > 70
    assert pieces.any(0).all()


def test_the_test_shows_the_whole_pattern_at_its_own_alpha():
    train = black()
    fitted, _ = planted(train, alpha=0.1, test_alpha=0.4)
    shown = triggered(fitted, train.images[:5], train.labels[:5], train.labels[:5])
    assert torch.equal(shown, torch.full_like(shown, round(0.4 * 255)))


def test_the_same_call_gives_the_same_pieces():
    train = black()
    fitted, poisoned = planted(train)
    assert torch.equal(fitted.poison(train).data.images, poisoned.data.images)


def test_the_cover_is_a_setting():
    train = black()
    assert int(planted(train, cover=0.5)[1].cover.sum()) == 20
    assert not planted(train, cover=0)[1].cover.any()


def test_what_is_refused():
    with pytest.raises(ValidationError, match="'adaptive-blend' takes all-to-one, all-to-all, untargeted, not 'evade'"):
        planted(black(), goal="evade")
    with pytest.raises(TurncoatError, match=r"^attack.pieces: 9 x 9 pieces do not fit into images of 8x8$"):
        planted(black(), pieces=9)
