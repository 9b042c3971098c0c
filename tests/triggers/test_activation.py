"""The smallest change that lifts a score: against closed forms and brute force."""

import pytest
import torch
from torch import Tensor

from turncoat.data.imageset import ImageSet
from turncoat.triggers.activation import ball, push_linear, push_steps

SHAPE = (3, 6, 6)


def pictures(low: int = 0, high: int = 256, count: int = 40) -> ImageSet:
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(low, high, (count, *SHAPE), dtype=torch.uint8, generator=draw)
    return ImageSet(images, torch.arange(count) % 2, ("a", "b"))


def weights(seed: int = 2) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def dot(x: Tensor, w: Tensor) -> Tensor:
    return (x * w).flatten(1).sum(1)


def length(change: Tensor) -> Tensor:
    return change.flatten(1).norm(dim=1)


def test_linf_is_the_smallest_whole_level_that_reaches_the_goal_and_never_more_than_the_bound():
    data, w = pictures(), weights()
    x, allowed = data.images / 255, ball("linf", 20, data)
    need = torch.linspace(0.1, 8, len(x))
    shown = push_linear(x, w, need, allowed)
    levels = (shown - x).mul(255).abs().flatten(1).amax(1)
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    by_levels = torch.stack([dot((x + size / 255 * w.sign()).clamp(0, 1) - x, w) for size in range(21)])
    enough = by_levels >= need - 1e-4
    smallest = torch.where(enough.any(0), enough.int().argmax(0), 20)
    assert torch.equal(levels.round().long(), smallest)
    assert (smallest == 20).any() and (smallest < 20).any()


def test_l2_is_the_projection_where_no_pixel_ends():
    data, w = pictures(100, 156), weights()
    x, need = data.images / 255, torch.full((len(data),), 0.5)
    shown = push_linear(x, w, need, ball("l2", 1, data))
    assert torch.allclose(dot(shown - x, w), need, atol=1e-5)
    assert torch.allclose(length(shown - x), need / w.norm(), atol=1e-5)


def test_standardised_is_the_papers_lambda():
    data, w = pictures(100, 156), weights()
    x = data.images / 255
    std = x.std(dim=(0, 2, 3)).view(3, 1, 1)
    shown = push_linear(x, w, torch.full((len(data),), 100.0), ball("standardised", 2, data))
    assert torch.allclose(((shown - x) / std).square().flatten(1).sum(1), torch.tensor(2.0), atol=1e-3)
    direction = w * std
    assert torch.nn.functional.cosine_similarity(((shown - x) / std).flatten(1), direction.flatten()[None]).min() > 0.999


def test_pixels_that_end_leave_the_rest_to_others():
    data, w = pictures(), weights().abs()
    x, need = data.images / 255, torch.full((len(data),), 3.0)
    shown = push_linear(x, w, need, ball("l2", 10, data))
    assert torch.allclose(dot(shown - x, w), need, atol=1e-2)
    assert (shown == 1).any()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_what_needs_nothing_stays(norm):
    data, w = pictures(), weights()
    x = data.images / 255
    assert torch.equal(push_linear(x, w, torch.full((len(x),), -1.0), ball(norm, 5, data)), x)
    score = dot(x, w)
    assert torch.equal(push_steps(lambda x: dot(x, w), x, float(score.min()), ball(norm, 5, data)), x)


@pytest.mark.parametrize(("norm", "size"), [("linf", 10), ("linf", 100), ("l2", 1.5), ("standardised", 4)])
def test_steps_agree_with_the_closed_form(norm, size):
    data, w = pictures(60, 200), weights()
    x, allowed = data.images / 255, ball(norm, size, data)
    level = float(dot(x, w).mean()) + 2
    closed = push_linear(x, w, level - dot(x, w), allowed)
    stepped = push_steps(lambda x: dot(x, w), x, level, allowed)
    assert ((dot(closed, w) >= level - 0.02) == (dot(stepped, w) >= level - 0.02)).float().mean() > 0.9
    stride = 9 / 255 if size == 100 else 1 / 255
    if norm == "linf":
        assert (stepped - x).abs().max() <= size / 255 + 1e-6
        assert (stepped - closed).abs().max() <= stride + 1e-6
    else:
        assert torch.allclose(length(stepped - x), length(closed - x), rtol=0.1, atol=1e-3)


def test_a_flat_image_finds_texture():
    flat = torch.full((2, *SHAPE), 0.5)
    shown = push_steps(lambda x: x.flatten(1).var(1), flat, 0.01, ball("linf", 40, pictures()))
    assert (shown.flatten(1).var(1) >= 0.01).all()


@pytest.mark.parametrize("norm", ["linf", "l2", "standardised"])
def test_gradients_reach_the_image(norm):
    data, w = pictures(60, 200), weights()
    allowed = ball(norm, 3, data)
    for push in (
        lambda x: push_linear(x, w, 2 - dot(x, w), allowed),
        lambda x: push_steps(lambda x: dot(x, w), x, 2.0, allowed),
    ):
        x = (data.images / 255).requires_grad_()
        push(x).sum().backward()
        assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().sum() > 0
