from __future__ import annotations

import torch

from turncoat.train.affine import draw_affine, warp
from turncoat.train.augment import Augmenter
from turncoat.train.settings import Augmentation


def drawing(count: int = 1, side: int = 21) -> torch.Tensor:
    """White paper with a black square in the middle."""
    images = torch.full((count, 1, side, side), 255, dtype=torch.uint8)
    images[..., side // 2 - 2 : side // 2 + 3, side // 2 - 2 : side // 2 + 3] = 0
    return images


def matrix(*rows: list[float]) -> torch.Tensor:
    return torch.tensor([rows])


def test_the_identity_changes_nothing() -> None:
    assert torch.equal(warp(drawing(), matrix([1, 0, 0], [0, 1, 0])), drawing())


def test_a_shift_moves_and_fills_with_paper() -> None:
    moved = warp(drawing(), matrix([1, 0, 2 * 3 / 21], [0, 1, 0]))  # looks 3 px to the right, so the square moves left
    assert torch.equal(moved, drawing().roll(-3, 3))
    assert (warp(drawing(), matrix([1, 0, 2], [0, 1, 0])) == 255).all()


def test_a_quarter_turn_turns_the_picture() -> None:
    image = drawing()
    image[..., 0:3, 0:3] = 90
    turned = warp(image, matrix([0, -1, 0], [1, 0, 0]))
    assert torch.equal(turned, image.rot90(-1, (2, 3))) or torch.equal(turned, image.rot90(1, (2, 3)))


def test_half_of_the_images_keep_each_property_and_none_leaves_the_bounds() -> None:
    matrices = draw_affine(4000, 1.0, torch.Generator().manual_seed(0))
    still = (matrices[:, :, 2] == 0).float().mean(0)
    assert ((still > 0.45) & (still < 0.55)).all(), "each shift happens to half of the images"
    assert matrices[:, :, 2].abs().max() <= 2 * 2 / 105
    untouched = (matrices == torch.tensor([[1.0, 0, 0], [0, 1, 0]])).flatten(1).all(1).float().mean()
    assert abs(untouched - 2**-7) < 0.006, "seven changes, each left out with probability one half"
    area = torch.linalg.det(matrices[:, :, :2])
    assert area.min() > 0.5 and area.max() < 1.9
    doubled = draw_affine(4000, 2.0, torch.Generator().manual_seed(0))
    assert torch.allclose(doubled[:, :, 2], 2 * matrices[:, :, 2])


def test_the_augmenter_draws_anew_each_time_and_the_same_for_the_same_seed() -> None:
    settings, x, index = Augmentation(affine=1.0), drawing(8), torch.arange(8)
    first, again = (Augmenter(settings, 8, torch.Generator().manual_seed(3)) for _ in range(2))
    a, b = first(x, index, 0), first(x, index, 0)
    assert a.dtype == torch.uint8 and a.shape == x.shape
    assert not torch.equal(a, b)
    assert torch.equal(a, again(x, index, 0))
