"""Patterned masks, masks found on a surrogate, perturbations, mirrored patches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from turncoat.triggers import Patch
from turncoat.triggers.base import to_float
from turncoat.triggers.corners import in_every_corner
from turncoat.triggers.mask import Checker, RandomSigns, Signs, Stripes
from turncoat.triggers.pgd import pgd
from turncoat.triggers.universal import Norm, find_mask, in_whole_levels, project, steps_towards

NORMS: tuple[Norm, ...] = ("l2", "linf")


def linear(weights: list[list[float]], shape: tuple[int, int, int] = (1, 2, 2)) -> nn.Module:
    """Logits ``weights @ x.flatten()``."""
    layer = nn.Linear(shape[0] * shape[1] * shape[2], len(weights), bias=False)
    layer.weight.data = torch.tensor(weights, dtype=torch.float32)
    return nn.Sequential(nn.Flatten(), layer)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, shape: tuple[int, int, int]) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=draw(), dtype=torch.uint8)


def rms(mask: Tensor) -> float:
    """In levels."""
    return float((mask * 255).square().mean().sqrt())


def test_a_checker_changes_sign_square_by_square() -> None:
    signs = Checker(square=2).render((3, 4, 6))
    top = [1, 1, -1, -1, 1, 1]
    below = [-one for one in top]
    assert signs[0].tolist() == [top, top, below, below]
    assert torch.equal(signs[1], signs[0])


def test_stripes_change_sign_along_the_columns_alone() -> None:
    assert Stripes(width=1).render((1, 2, 3)).tolist() == [[[1, -1, 1], [1, -1, 1]]]


def test_random_signs_depend_on_their_seed_alone() -> None:
    torch.manual_seed(1)
    one = RandomSigns(seed=3).render((3, 16, 16))
    torch.manual_seed(2)
    assert torch.equal(one, RandomSigns(seed=3).render((3, 16, 16)))
    assert not torch.equal(one, RandomSigns(seed=4).render((3, 16, 16)))
    assert set(one.unique().tolist()) == {-1, 1}
    assert abs(float(one.mean())) < 0.1
    assert not torch.equal(one[0], one[1])


def test_signs_by_name() -> None:
    assert Signs.parse("checker:4") == Checker(square=4)
    assert Signs.parse("random:7") == RandomSigns(seed=7)


def test_a_step_is_the_shortest_that_takes_a_linear_network_over() -> None:
    """Class 0 scores x0, class 1 scores 2 x1; at (0.6, 0.2) the gap is 0.2 and the gradient towards class 1 is (-1, 2)."""
    network = linear([[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]])
    x = torch.tensor([0.6, 0.2, 0.5, 0.5]).view(1, 1, 2, 2)
    step = steps_towards(network, x, 1, "l2").flatten()
    assert torch.allclose(step, 1.02 * 0.2 / 5 * torch.tensor([-1.0, 2.0, 0.0, 0.0]), atol=1e-6)
    step = steps_towards(network, x, 1, "linf").flatten()
    assert torch.allclose(step, 1.02 * 0.2 / 3 * torch.tensor([-1.0, 1.0, 0.0, 0.0]), atol=1e-6)
    for norm in NORMS:
        assert network(x).argmax() == 0
        assert network(x + steps_towards(network, x, 1, norm)).argmax() == 1
        assert network(x + 0.97 * steps_towards(network, x, 1, norm)).argmax() == 0, "no longer than it has to be"
        assert not steps_towards(network, x, 0, norm).any(), "called the target already"


def test_steps_of_a_batch_are_those_of_its_images() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4)).eval()
    x = torch.rand(6, 3, 2, 2)
    for norm in NORMS:
        whole = steps_towards(network, x, 2, norm)
        alone = torch.cat([steps_towards(network, one[None], 2, norm) for one in x])
        assert torch.allclose(whole, alone, atol=1e-6)
    assert all(weight.grad is None for weight in network.parameters())


def test_the_nearest_mask_within_the_bound() -> None:
    mask = torch.tensor([3.0, -4.0, 0.0, 0.0])
    assert project(mask, "linf", 2).tolist() == [2, -2, 0, 0]
    assert torch.allclose(project(mask, "l2", 1), mask / 2.5)
    for norm in NORMS:
        assert torch.equal(project(mask, norm, 5), mask)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bound", [1, 2.5, 8])
def test_a_found_mask_keeps_the_bound_and_is_what_a_file_can_hold(norm: Norm, bound: float) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 5)).eval()
    images = noise(50, (3, 8, 8))
    mask = find_mask(network, images, 3, norm=norm, bound=bound, steps=20, generator=draw(), batch_size=16)
    levels = mask * 255
    assert mask.shape == (3, 8, 8)
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    size = rms(mask) if norm == "l2" else float(levels.abs().max())
    assert 0.7 * int(bound) < size <= bound + 1e-4
    scores = [(network(to_float(images) + change)[:, 3]).mean().item() for change in (-mask, 0, mask)]
    assert scores == sorted(scores), "towards the target"


def test_rounding_never_breaks_the_bound() -> None:
    """Half levels that round up would go beyond it."""
    mask = torch.full((1, 4, 4), 0.5001 / 255)
    assert rms(mask.mul(255).round() / 255) == 1
    assert rms(in_whole_levels(mask, "l2", 0.6)) == 0
    assert float(in_whole_levels(mask * 5, "linf", 1.9).max()) * 255 == pytest.approx(1)
    spread = torch.linspace(-6, 6, 100).view(1, 10, 10) / 255
    assert 2.9 < rms(in_whole_levels(spread, "l2", 3)) <= 3


@pytest.mark.parametrize(("norm", "offset"), [("l2", 56), ("linf", 40)])
def test_a_mask_is_as_large_as_the_bound_allows_however_soon_it_succeeds(norm: Norm, offset: int) -> None:
    """Offsets on two of four values: for l2 a root of the mean of squares of 40 is sqrt(2) 40 = 56.6 on each."""
    network = linear([[4, 0, 0, 0], [0, 4, 0, 0]])
    images = torch.tensor([[200, 190, 9, 9], [180, 160, 90, 9], [220, 200, 9, 90]], dtype=torch.uint8).view(3, 1, 2, 2)
    mask = find_mask(network, images, 1, norm=norm, bound=40, steps=3, generator=draw())
    assert (network(to_float(images)).argmax(1) == 0).all()
    assert (network(to_float(images) + mask).argmax(1) == 1).all()
    assert (mask * 255).round().flatten().tolist() == [-offset, offset, 0, 0]


def test_steps_of_all_batches_add_up() -> None:
    """Two images want a change of different values: a mask from both has both."""
    network = linear([[4, 0, 4, 0], [0, 4, 0, 0], [0, 0, 0, 4]])
    images = torch.tensor([[200, 100, 0, 0], [0, 100, 0, 200]], dtype=torch.uint8).view(2, 1, 2, 2)
    mask = find_mask(network, images, 1, norm="l2", bound=127, steps=8, generator=draw(), batch_size=1).flatten()
    assert mask[1] > 0
    assert mask[0] < 0
    assert mask[3] < 0


@pytest.mark.parametrize(("norm", "offset"), [("l2", 11), ("linf", 8)])
def test_images_that_are_the_target_already_get_a_mask_that_makes_it_surer(norm: Norm, offset: int) -> None:
    network = linear([[4, 0, 0, 0], [0, 4, 0, 0]])
    images = torch.tensor([10, 200, 9, 9], dtype=torch.uint8).view(1, 1, 2, 2)
    mask = find_mask(network, images, 1, norm=norm, bound=8, steps=5, generator=draw())
    assert (mask * 255).round().flatten().tolist() == [-offset, offset, 0, 0]


def test_pgd_stays_near_and_is_recognised_less() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval()
    x, labels = to_float(noise(20, (3, 8, 8))), torch.arange(20) % 4
    changed = pgd(network, x, labels, bound=8 / 255, steps=10, step=2 / 255, generator=draw())
    assert (changed - x).abs().max() <= 8 / 255 + 1e-6
    assert changed.min() >= 0
    assert changed.max() <= 1
    loss = nn.CrossEntropyLoss(reduction="none")
    assert (loss(network(changed), labels) > loss(network(x), labels)).all()
    again = pgd(network, x, labels, bound=8 / 255, steps=10, step=2 / 255, generator=draw())
    assert torch.equal(changed, again)
    assert all(weight.grad is None for weight in network.parameters())


def test_pgd_on_a_linear_network_goes_to_the_bound_along_the_sign() -> None:
    network = linear([[1, -1, 0, 0], [0, 0, 1, -1]])
    x = torch.full((1, 1, 2, 2), 0.5)
    changed = pgd(network, x, torch.tensor([0]), bound=0.1, steps=10, step=0.05, generator=draw())
    assert torch.allclose(changed.flatten(), torch.tensor([0.4, 0.6, 0.6, 0.4]), atol=1e-6)


def test_a_patch_in_every_corner_survives_flips() -> None:
    patch = Patch.model_validate({"size": 3, "margin": 0, "pattern": "noise:1"}).fit((3, 8, 10))
    four = in_every_corner(patch)
    assert int(four.alpha.sum()) == 4 * int(patch.alpha.sum()) == 36
    x = torch.rand(2, 3, 8, 10)
    for axes in ([2], [3], [2, 3]):
        assert torch.equal(four(x.flip(axes)).flip(axes), four(x))
    assert torch.equal(four(x)[:, :, 5:, 7:], patch(x)[:, :, 5:, 7:])
    assert torch.equal(four(x)[:, :, 3:5], x[:, :, 3:5])
