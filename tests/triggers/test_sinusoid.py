import math

import pytest
import torch

from turncoat.triggers.addition import Addition, add
from turncoat.triggers.sinusoid import ramp, sinusoid


def test_the_sinusoid_is_the_papers_formula_at_every_column():
    shown = sinusoid(32, 20 / 255, 6)
    assert shown.shape == (1, 1, 32)
    expected = [20 / 255 * math.sin(2 * math.pi * j * 6 / 32) for j in range(1, 33)]
    assert torch.allclose(shown[0, 0], torch.tensor(expected), atol=1e-6)


def test_the_sinusoid_has_its_periods_and_its_amplitude():
    shown = sinusoid(480, 0.1, 6)[0, 0]
    assert int(((shown[:-1] < 0) & (shown[1:] >= 0)).sum()) == 6
    assert float(shown.max()) == pytest.approx(0.1)
    assert float(shown.min()) == pytest.approx(-0.1)


def test_the_ramp_rises_evenly_to_its_amplitude():
    assert torch.allclose(ramp(4, 0.4), torch.tensor([[[0.1, 0.2, 0.3, 0.4]]]))


def test_columns_on_the_zeros_alone_give_exactly_nothing():
    for frequency in (6, 12, 0.5 * 12):
        assert not sinusoid(12, 1.0, frequency).any()
    assert sinusoid(12, 1.0, 5).abs().max() > 0.9


def test_the_signal_is_added_to_every_row_and_channel_and_clipped_not_blended():
    x = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    signal = torch.tensor([-0.2, 0.3]).view(1, 1, 2)
    expected = torch.tensor([[0.0, 0.3], [0.3, 0.8], [0.8, 1.0]]).view(3, 1, 1, 2).expand(3, 3, 2, 2)
    assert torch.allclose(add(x, signal), expected)
    assert torch.equal(Addition(signal)(x), add(x, signal))
