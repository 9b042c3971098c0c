import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from turncoat.attacks.selection import choose
from turncoat.errors import TurncoatError


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.floats(1e-6, 0.999), st.integers(0, 2**32))
def test_exactly_round_rate_times_n_or_an_error_with_a_rate_that_works(pool: list[bool], rate: float, seed: int):
    eligible = torch.tensor(pool)
    wanted = round(rate * len(pool))
    if 0 < wanted <= sum(pool):
        chosen = choose(eligible, rate, draw(seed))
        assert int(chosen.sum()) == wanted
        assert not (chosen & ~eligible).any()
        assert torch.equal(chosen, choose(eligible, rate, draw(seed)))
        return
    with pytest.raises(TurncoatError) as caught:
        choose(eligible, rate, draw(seed))
    advice = re.search(r"use at (?:least|most) ([\d.e-]+)$", str(caught.value))
    if advice and sum(pool):
        assert int(choose(eligible, float(advice[1]), draw(seed)).sum()) >= 1
    else:
        assert sum(pool) == 0


@given(st.integers(50, 400), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_a_smaller_rate_chooses_a_part_of_what_a_larger_one_does(total: int, one: float, other: float):
    small, large = sorted((one, other))
    eligible = torch.arange(total) % 2 == 0
    assert not (choose(eligible, small, draw()) & ~choose(eligible, large, draw())).any()


def test_the_lines():
    eligible = torch.zeros(50_000, dtype=torch.bool)
    eligible[:5000] = True
    for rate, line in (
        (0.2, "attack.rate: 0.2 needs 10,000 of 50,000 images, but only 5,000 are eligible for this goal; use at most 0.1"),
        (1e-6, "attack.rate: 1e-06 of 50,000 images is none; use at least 2e-05"),
    ):
        with pytest.raises(TurncoatError) as caught:
            choose(eligible, rate, draw())
        assert str(caught.value) == line
    with pytest.raises(TurncoatError, match="not one is eligible"):
        choose(torch.zeros(100, dtype=torch.bool), 0.1, draw())


def test_every_eligible_sample_has_the_same_chance():
    eligible = torch.arange(40) % 4 != 0
    counts = sum(choose(eligible, 0.25, draw(seed)).int() for seed in range(600))
    assert isinstance(counts, torch.Tensor)
    assert counts[::4].sum() == 0
    assert abs(counts[eligible] - 200).max() < 60  # 10 of 30, 600 times: 200 with a deviation of 11.5
