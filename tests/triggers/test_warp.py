import pytest
import torch

from turncoat.triggers.warp import Warp, jitter, smooth_field, warp


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gradient(height: int, width: int) -> torch.Tensor:
    """One image with a channel that holds each pixel's column and one that holds its row, both scaled to [0, 1]."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns / (width - 1), rows / (height - 1), torch.zeros(height, width)])[None]


def test_no_displacement_is_the_image_itself():
    x = torch.rand(3, 1, 7, 9, generator=draw())
    assert torch.allclose(warp(x, torch.zeros(1, 7, 9, 2)), x, atol=1e-6)


def test_pixels_are_taken_from_where_the_field_points_x_then_y_in_pixels():
    field = torch.zeros(1, 6, 9, 2)
    field[..., 0], field[..., 1] = 1.0, -0.5
    shown = warp(gradient(6, 9), field)[0]
    assert torch.allclose(shown[0, :, :-1] * 8, torch.arange(1.0, 9).expand(6, 8), atol=1e-5)
    assert torch.allclose(shown[1, 1:] * 5, (torch.arange(1.0, 6) - 0.5)[:, None].expand(5, 9), atol=1e-5)
    assert torch.allclose(shown[0, :, -1], torch.ones(6)), "never from outside the image"


@pytest.mark.parametrize("size", [(32, 32), (20, 48)])
def test_the_field_has_the_strength_of_the_paper_at_its_points_and_is_smooth_between(size: tuple[int, int]):
    field = smooth_field(4, 0.5, size, draw())
    assert field.shape == (*size, 2)
    height, width = size
    rows, columns = torch.linspace(0, height - 1, 4), torch.linspace(0, width - 1, 4)
    exact = smooth_field(4, 0.5, (4, 4), draw())  # the points themselves
    unit = torch.tensor([(4 - 1) / 8, (4 - 1) / 8])
    assert float((exact / unit).abs().mean()) == pytest.approx(0.5, abs=1e-6)
    corner = field[int(rows[-1]), int(columns[-1])] / torch.tensor([(width - 1) / (2 * width), (height - 1) / (2 * height)])
    assert torch.allclose(corner, exact[-1, -1] / unit, atol=1e-5)
    steps = torch.cat([(field[1:] - field[:-1]).abs().flatten(), (field[:, 1:] - field[:, :-1]).abs().flatten()])
    assert steps.max() < 0.3
    assert field.abs().mean() > 0.1


def test_the_field_follows_its_generator():
    assert torch.equal(smooth_field(4, 0.5, (8, 8), draw(1)), smooth_field(4, 0.5, (8, 8), draw(1)))
    assert not torch.equal(smooth_field(4, 0.5, (8, 8), draw(1)), smooth_field(4, 0.5, (8, 8), draw(2)))


def test_jitter_is_each_pixels_own_and_stays_under_half_a_pixel():
    noise = jitter(50, (16, 16), draw())
    assert noise.abs().max() <= 0.5
    assert noise.abs().mean() == pytest.approx(0.5 * (15 / 16) / 2, rel=0.02)
    assert abs(noise.mean()) < 0.01


def test_jittered_images_differ_from_the_warp_and_from_each_other():
    trigger = Warp(smooth_field(4, 0.5, (16, 16), draw()))
    x = torch.rand(1, 3, 16, 16, generator=draw()).expand(2, -1, -1, -1)
    one, other = trigger.jittered(x, draw(1))
    assert (one - trigger(x)[0]).abs().max() > 0.05
    assert (one - other).abs().max() > 0.05


def test_the_warp_is_differentiable_in_image_and_field():
    x = torch.rand(1, 1, 8, 8, generator=draw(), requires_grad=True)
    field = smooth_field(4, 0.5, (8, 8), draw()).requires_grad_()
    warp(x, field[None]).square().sum().backward()
    assert x.grad is not None
    assert field.grad is not None
    assert x.grad.abs().sum() > 0
    assert field.grad.abs().sum() > 0
