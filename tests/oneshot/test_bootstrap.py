from __future__ import annotations

import pytest
import torch
from torch import Tensor

from turncoat.evaluate.intervals import wilson
from turncoat.oneshot.bootstrap import paired_difference, resamples, share_interval, verification_intervals


def correlated(characters: int, each: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Half of all characters are nearly always right, the others nearly always wrong: the worst case of reuse."""
    level = torch.where(torch.rand(characters, generator=generator) < 0.5, 0.95, 0.05)
    hit = torch.rand(characters, each, generator=generator) < level[:, None]
    return hit.flatten(), (torch.arange(characters) * 7 + 3).repeat_interleave(each)


def test_resamples_draw_as_many_characters_as_there_are() -> None:
    weights = resamples(40)
    assert weights.shape == (2000, 40)
    assert (weights.sum(1) == 40).all()
    assert weights.mean(0).sub(1).abs().max() < 0.15
    assert weights.var() == pytest.approx(1 - 1 / 40, abs=0.03)


def test_bounds_cover_where_wilsons_do_not() -> None:
    """The true share is 0.5; of 200 experiments with 40 characters about 95% of the intervals have to hold it."""
    generator = torch.Generator().manual_seed(0)
    covered, fooled = 0, 0
    for _ in range(200):
        hit, characters = correlated(40, 50, generator)
        value, low, high = share_interval(hit, characters)
        assert value == pytest.approx(float(hit.double().mean()))
        near = wilson(int(hit.sum()), len(hit))
        assert high - low > 3 * (near[1] - near[0])
        covered += low <= 0.5 <= high
        fooled += near[0] <= 0.5 <= near[1]
    assert covered >= 180
    assert fooled < 100


def test_where_characters_do_not_matter_bounds_are_wilsons() -> None:
    hit = torch.rand(4000, generator=torch.Generator().manual_seed(1)) < 0.9
    _, low, high = share_interval(hit, torch.arange(4000) % 500)
    assert (low, high) == pytest.approx(wilson(int(hit.sum()), 4000), abs=0.003)


@pytest.mark.parametrize("all_of_them", [True, False])
def test_a_share_of_0_or_1_has_wilsons_bounds_over_characters(all_of_them: bool) -> None:
    hit = torch.full((1000,), all_of_them)
    figure = share_interval(hit, torch.arange(1000) % 20)
    assert figure == (float(all_of_them), *wilson(20 if all_of_them else 0, 20))


def test_one_character_knows_little() -> None:
    value, low, high = share_interval(torch.tensor([True, True, False]), torch.zeros(3, dtype=torch.int64))
    assert low <= value <= high
    assert high - low > 0.7


def test_paired_differences_are_narrower_than_two_intervals() -> None:
    generator = torch.Generator().manual_seed(2)
    first, characters = correlated(100, 10, generator)
    second = first & (torch.rand(1000, generator=generator) < 0.9)
    value, low, high = paired_difference(first, second, characters)
    assert value == pytest.approx(float(first.double().mean() - second.double().mean()))
    assert 0 < low < value < high
    alone = share_interval(first, characters)
    assert high - low < 0.5 * (alone[2] - alone[1])
    assert paired_difference(second, first, characters) == pytest.approx((-value, -high, -low), abs=0.01)
    nothing = paired_difference(first, first, characters)
    assert nothing == pytest.approx((0, -wilson(0, 100)[1], wilson(0, 100)[1]))


def test_auc_and_equal_error_with_bounds() -> None:
    generator = torch.Generator().manual_seed(3)
    characters = torch.arange(3000) % 100
    of_character = torch.randn(100, generator=generator)[characters]  # what all pairs of a character share
    same, different = (of_character + torch.randn(3000, generator=generator) + shift for shift in (1.5, 0))
    area, error = verification_intervals(same, different, characters, characters)
    independent = verification_intervals(same, different, torch.arange(3000), torch.arange(3000))
    for figure, near in zip((area, error), independent, strict=True):
        assert figure[0] == near[0]
        assert figure[1] < figure[0] < figure[2]
        assert figure[2] - figure[1] > 1.5 * (near[2] - near[1])
    assert area[1] < 0.773 < area[2]  # the normal distribution at 1.5 / 2
    assert error[1] < 0.298 < error[2]  # at -0.75 / sqrt(2)


def test_perfect_verification_is_not_certain() -> None:
    characters = torch.arange(100) % 10
    area, error = verification_intervals(torch.ones(100), torch.zeros(100), characters, characters)
    assert area == (1, *wilson(10, 10))
    assert error == (0, *wilson(0, 10))
