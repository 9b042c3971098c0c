from __future__ import annotations

import torch
from torch.nn import functional

from turncoat.train.augment import Augmenter, cut_out, shift_and_flip
from turncoat.train.settings import Augmentation


def images(n: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 7, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_shift_equals_reflect_padding_and_cropping() -> None:
    x = images()
    down, right = torch.tensor([0, 1, -1, 2, -2, 2]), torch.tensor([0, -2, 2, 1, 0, 2])
    moved = shift_and_flip(x, down, right, torch.zeros(6, dtype=torch.bool))
    padded = functional.pad(x.float(), (2, 2, 2, 2), mode="reflect").byte()
    for i in range(6):
        top, left = 2 - int(down[i]), 2 - int(right[i])
        assert torch.equal(moved[i], padded[i, :, top : top + 7, left : left + 9])


def test_flip_mirrors_the_chosen_images_alone() -> None:
    x, zero = images(), torch.zeros(6, dtype=torch.int64)
    flip = torch.tensor([True, False, True, False, False, True])
    moved = shift_and_flip(x, zero, zero, flip)
    assert torch.equal(moved, torch.where(flip.view(-1, 1, 1, 1), x.flip(3), x))
    assert moved.is_contiguous(memory_format=torch.channels_last)


def test_cutout_blanks_one_square_that_may_reach_outside() -> None:
    x = images()
    cut = cut_out(x, torch.full((6,), -1), torch.full((6,), 7), 4)
    changed = torch.zeros(7, 9, dtype=torch.bool)
    changed[0:3, 7:9] = True
    assert (cut[..., changed] == 128).all()
    assert torch.equal(cut[..., ~changed], x[..., ~changed])


def test_alternating_flip_shows_each_side_every_other_epoch() -> None:
    x, index = images(), torch.arange(6)
    augment = Augmenter(Augmentation(flip="alternate"), 6, torch.Generator().manual_seed(0))
    first, second, third = (augment(x, index, epoch) for epoch in range(3))
    assert torch.equal(first, third)
    assert torch.equal(first, second.flip(3))


def test_nothing_asked_for_changes_nothing() -> None:
    x = images()
    assert torch.equal(Augmenter(Augmentation(), 6, torch.Generator())(x, torch.arange(6), 0), x)


def test_crop_reaches_as_far_as_told_and_no_farther() -> None:
    x = torch.arange(9, dtype=torch.uint8).expand(400, 1, 7, 9).contiguous()
    moved = Augmenter(Augmentation(crop=2), 400, torch.Generator().manual_seed(0))(x, torch.arange(400), 0)
    centre = moved[:, 0, 3, 4].long() - 4
    assert set(centre.tolist()) == {-2, -1, 0, 1, 2}
