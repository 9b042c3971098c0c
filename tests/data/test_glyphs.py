"""Invented alphabets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from turncoat.data import Source, load
from turncoat.data.glyphs import draw_alphabet
from turncoat.data.oneshot import ClassSplit, group_of
from turncoat.data.strokes import draw_curves
from turncoat.errors import TurncoatError

pytestmark = pytest.mark.usefixtures("home")

SMALL = {"name": "glyphs", "alphabets": 3, "evaluation": 2, "characters": 4, "drawers": 5}


def test_a_line_covers_what_a_pen_would() -> None:
    t = np.linspace(0.25, 0.75, 4)
    line = np.stack([t, np.full(4, 0.5)], 1)[None]
    drawn = draw_curves(line, np.array([1]), np.array([2 / 40]), 3, 40)
    assert (drawn[[0, 2]] == 255).all()
    ink = 1 - drawn[1] / 255.0
    assert ink.sum() == pytest.approx(20 * 4 + np.pi * 4, rel=0.03)  # a strip of 20 x 4 with round ends
    rows, columns = np.nonzero(ink > 0.5)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (18, 21, 8, 31)
    assert np.array_equal(ink, ink[::-1]) and np.allclose(ink, ink[:, ::-1], atol=0.1)


def test_curves_pass_where_bezier_says_and_stop_at_the_border() -> None:
    bow = np.array([[[0.1, 0.1], [0.1, 0.9], [0.9, 0.9], [0.9, 0.1]]])
    drawn = draw_curves(bow, np.array([0]), np.array([0.02]), 1, 100)[0]
    assert drawn[70, 50] == 0 and drawn[10, 10] == 0 and drawn[40, 50] == 255
    outside = draw_curves(bow + 5, np.array([0]), np.array([0.02]), 1, 100)
    assert (outside == 255).all()


def test_many_drawings_do_not_touch_each_other() -> None:
    random = np.random.RandomState(0)
    curves = random.uniform(0, 1, (600, 4, 2))
    owner = np.arange(600) // 2
    radius = np.full(600, 0.03)
    together = draw_curves(curves, owner, radius, 300, 20)
    for i in (0, 255, 256, 299):
        alone = draw_curves(curves[2 * i : 2 * i + 2], np.zeros(2, np.int64), radius[:2], 1, 20)
        assert np.array_equal(together[i], alone[0])


def test_one_shot_parts() -> None:
    data = Source.parse(SMALL).one_shot(ClassSplit(threshold=1))
    assert [len(part) for part in (data.train, data.threshold, data.test)] == [40, 20, 40]
    assert data.train.shape == (1, 28, 28)
    assert {group_of(name) for name in data.test.classes} == {"Alphabet04", "Alphabet05"}
    assert data.test.classes[0] == "Alphabet04/character01"
    assert data.held_out == "1 of 3 background alphabets"
    assert data.runs == ()


def test_ink_is_black_on_white_paper() -> None:
    images = load(SMALL).train.images
    assert images.min() == 0 and images.max() == 255
    assert (images == 255).flatten(1).float().mean(1).min() > 0.5
    assert (images < 128).flatten(1).any(1).all()
    assert images[:, :, 0].eq(255).float().mean() > 0.98


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    one, again, other = (Source.parse({**SMALL, "seed": seed}).load() for seed in (0, 0, 1))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    drawn = torch.from_numpy(draw_alphabet(1, 4, 5, 28, 0))
    expected = one.train.images[one.train.labels // 4 == 1][:, 0]
    assert torch.equal(drawn.reshape(4, 5, 28, 28)[:, :4].flatten(0, 1), expected)
    assert torch.bincount(one.test.labels).tolist() == [1] * 12


def test_the_drawings_never_change() -> None:
    """Where they do, the version in the cache's key is raised."""
    assert Source.parse(SMALL).one_shot(ClassSplit(threshold=1)).fingerprint.startswith("152758a2083be6a9")


def test_more_alphabets_leave_the_first_as_they_are() -> None:
    few = Source.parse(SMALL).load().train
    more = Source.parse({**SMALL, "alphabets": 4}).load().train
    assert torch.equal(few.images, more.images[: len(few)])


def test_other_sizes_are_the_same_drawings() -> None:
    small, large = (torch.from_numpy(draw_alphabet(0, 4, 5, size, 0)) for size in (35, 105))
    shrunk = torch.nn.functional.avg_pool2d(large[:, None].float(), 3)[:, 0]
    distance = (shrunk[:, None] - small[None].float()).flatten(2).norm(dim=2)
    assert distance.argmin(1).tolist() == list(range(20))


def accuracy(images: Tensor, ways: int, episodes: int) -> float:
    """Nearest neighbour on pixels; images ``(characters, drawers, ...)``."""
    draw = torch.Generator().manual_seed(0)
    right = 0
    for _ in range(episodes):
        chosen = torch.randperm(len(images), generator=draw)[:ways]
        support, query = torch.randperm(images.shape[1], generator=draw)[:2]
        distance = (images[chosen, support] - images[chosen[0], query]).flatten(1).norm(dim=1)
        right += bool(distance[0] < distance[1:].min())
    return right / episodes


def test_nearest_neighbours_find_some_but_far_from_all() -> None:
    images = np.concatenate([draw_alphabet(number, 20, 20, 28, 0) for number in range(30, 36)])
    found = accuracy(torch.from_numpy(images).reshape(120, 20, 28, 28).float(), 20, 1000)
    assert 0.25 < found < 0.6


def test_bad_settings() -> None:
    for wrong in ({"size": 19}, {"size": 257}, {"alphabets": 1}, {"drawers": 1}):
        with pytest.raises(TurncoatError, match="data: "):
            load({"name": "glyphs", **wrong})
    with pytest.raises(TurncoatError, match=r"^glyphs: expected at most 200,000 drawings, got 1000 \+ 10 alphabets"):
        load({"name": "glyphs", "alphabets": 1000})
