from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from oneshot_helpers import written
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

from turncoat.data import ImageSet
from turncoat.errors import TurncoatError
from turncoat.oneshot.verification import (
    auc,
    called_different,
    called_same,
    curve,
    draw_pairs,
    equal_error,
    equal_error_threshold,
    thin_roc,
)


def error(same: Tensor, different: Tensor) -> tuple[float, float]:
    rate, threshold = equal_error(curve(same, different))
    return float(rate), float(threshold)


def test_pairs_are_what_they_say() -> None:
    data = written((6, 8, 22))
    pairs = draw_pairs(data, 5000, torch.Generator().manual_seed(0))
    same, different = data.labels[pairs.same], data.labels[pairs.different]
    assert (same[:, 0] == same[:, 1]).all()
    assert (different[:, 0] != different[:, 1]).all()
    assert (pairs.same[:, 0] != pairs.same[:, 1]).all()
    for counts in (torch.bincount(same[:, 0]), *(torch.bincount(side) for side in different.T)):
        assert (counts / counts.sum() * 36 - 1).abs().max() < 0.4
    assert len(torch.cat([pairs.same, pairs.different]).unique()) == len(data)
    again = draw_pairs(data, 5000, torch.Generator().manual_seed(0))
    assert torch.equal(pairs.different, again.different)


def test_pairs_need_two_classes_of_two() -> None:
    data = ImageSet(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 0, 1]), ("a", "b"))
    with pytest.raises(TurncoatError, match="at least 2 classes with 2 images each, got 1"):
        draw_pairs(data, 10, torch.Generator())


def test_rates_by_hand() -> None:
    rates = curve(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 0.0, 0.0, 0.0]))
    assert rates.accepts.tolist() == [[1, 0.25, 0.25, 0, 0]]
    assert rates.rejects.tolist() == [[0, 0, 0.5, 0.5, 1]]
    assert rates.thresholds.tolist() == [0, 0.5, 1.5, 2.5, 3]
    assert auc(rates).item() == pytest.approx(7 / 8)
    assert error(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 0, 0, 0])) == pytest.approx((0.25, 1.0))


@pytest.mark.parametrize("decimals", [4, 0])
def test_auc_and_roc_as_scikit_learn(decimals: int) -> None:
    """Rounded to whole numbers nearly all scores are tied."""
    generator = torch.Generator().manual_seed(0)
    same = (torch.randn(800, generator=generator) + 1).round(decimals=decimals)
    different = torch.randn(1200, generator=generator).round(decimals=decimals)
    truth, scores = [1] * 800 + [0] * 1200, torch.cat([same, different]).numpy()
    rates = curve(same, different)
    assert auc(rates).item() == pytest.approx(roc_auc_score(truth, scores))
    far, tar, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert rates.accepts[0].flip(0).numpy() == pytest.approx(far)
    assert (1 - rates.rejects[0]).flip(0).numpy() == pytest.approx(tar)


def test_equal_error_is_where_both_errors_meet() -> None:
    generator = torch.Generator().manual_seed(4)
    same, different = torch.randn(5000, generator=generator) + 2, torch.randn(3000, generator=generator)
    rate, threshold = error(same, different)
    assert rate == pytest.approx(0.1587, abs=0.01)  # the normal distribution below -1
    assert threshold == pytest.approx(1, abs=0.05)
    assert float(called_different(same, threshold).double().mean()) == pytest.approx(rate, abs=1e-3)
    assert float(called_same(different, threshold).double().mean()) == pytest.approx(rate, abs=1e-3)


def test_the_threshold_lies_in_the_middle_of_a_gap() -> None:
    """New pairs will scatter to both sides of where these ended."""
    assert error(torch.tensor([4.0, 5.0]), torch.tensor([-1.0, 2.0])) == (0, 3)


def test_constant_and_broken_scores() -> None:
    assert error(torch.full((7,), 0.5), torch.full((9,), 0.5)) == (0.5, 0.5)
    assert auc(curve(torch.full((7,), 0.5), torch.full((9,), 0.5))).item() == 0.5
    nan = torch.full((5,), torch.nan)
    assert auc(curve(nan, nan)).item() == 0
    assert error(nan, nan)[0] == 1
    assert torch.isfinite(torch.tensor(equal_error_threshold(nan, torch.full((5,), torch.inf))))
    assert not called_same(nan, 0.0).any()
    assert not called_different(nan, 0.0).any()
    assert called_same(torch.tensor([0.0, 1e-6]), 0.0).tolist() == [False, True]


def test_weights_stand_for_repeated_pairs() -> None:
    generator = torch.Generator().manual_seed(5)
    same, different = torch.randn(50, generator=generator) + 1, torch.randn(60, generator=generator)
    weights = torch.randint(0, 4, (110,), generator=generator)
    batch = torch.stack([torch.ones(110), weights.float()])
    rates = curve(same, different, batch[:, :50], batch[:, 50:])
    repeated = curve(same.repeat_interleave(weights[:50]), different.repeat_interleave(weights[50:]))
    plain = curve(same, different)
    assert auc(rates).tolist() == pytest.approx([auc(plain).item(), auc(repeated).item()])
    assert equal_error(rates)[0].tolist() == pytest.approx([equal_error(plain)[0].item(), equal_error(repeated)[0].item()])


@pytest.mark.parametrize("shift", [0.5, 6.0])
def test_a_thin_roc_keeps_the_shape(shift: float) -> None:
    generator = torch.Generator().manual_seed(6)
    rates = curve(torch.randn(5000, generator=generator) + shift, torch.randn(5000, generator=generator))
    points = thin_roc(rates)
    assert 2 <= len(points) <= 200
    assert (points[0], points[-1]) == ((0, 0), (1, 1))
    assert points == sorted(points)
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    assert area == pytest.approx(auc(rates).item(), abs=1e-3)
