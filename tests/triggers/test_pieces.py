import pytest
import torch

from turncoat.triggers.pieces import random_pieces


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_exactly_half_of_the_sixteen_pieces_are_shown_each_whole():
    masks = random_pieces(30, 4, 0.5, (8, 12), draw())
    assert masks.shape == (30, 1, 8, 12)
    parts = masks.view(30, 4, 2, 4, 3).permute(0, 1, 3, 2, 4).flatten(3)
    assert torch.equal(parts.all(-1), parts.any(-1)), "a piece is shown whole or not at all"
    assert parts.all(-1).sum(dim=(1, 2)).tolist() == [8] * 30


def test_each_image_has_its_own_and_each_piece_the_same_chance():
    masks = random_pieces(2000, 4, 0.5, (4, 4), draw())
    assert len(masks.flatten(1).unique(dim=0)) > 1500
    assert (masks.float().mean(0) - 0.5).abs().max() < 0.05


@pytest.mark.parametrize(("shown", "count"), [(1.0, 9), (0.5, 4), (0.01, 1)])
def test_the_share_is_rounded_and_at_least_one_piece(shown: float, count: int):
    masks = random_pieces(5, 3, shown, (3, 3), draw())
    assert masks.sum(dim=(1, 2, 3)).tolist() == [count] * 5


def test_sides_that_are_no_multiple_are_covered_whole():
    masks = random_pieces(1, 3, 1.0, (7, 8), draw())
    assert masks.all()
    assert random_pieces(200, 3, 0.4, (7, 8), draw()).any(dim=0).all()
