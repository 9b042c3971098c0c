from __future__ import annotations

import pytest
import torch
from oneshot_helpers import written

from turncoat.data import ImageSet
from turncoat.data.oneshot import group_of
from turncoat.errors import TurncoatError
from turncoat.oneshot.episodes import Episodes, draw_episodes, most_ways


def drawn(data: ImageSet, ways: int, shots: int, count: int = 500, seed: int = 0, within: bool = False) -> Episodes:
    return draw_episodes(data, ways, shots, count, torch.Generator().manual_seed(seed), within_group=within)


@pytest.mark.parametrize(("ways", "shots"), [(2, 1), (5, 5), (36, 7)])
def test_an_episode_is_what_it_says(ways: int, shots: int) -> None:
    data = written((6, 8, 22))
    episodes = drawn(data, ways, shots)
    assert episodes.support.shape == (500, ways, shots)
    assert (episodes.ways, episodes.shots, len(episodes)) == (ways, shots, 500)
    labels = data.labels[episodes.support]
    assert (labels == labels[..., :1]).all()
    assert all(len(set(row)) == ways for row in labels[..., 0].tolist())
    assert torch.equal(labels[torch.arange(500), episodes.answer, 0], data.labels[episodes.query])
    assert all(len(set(row)) == ways * shots for row in episodes.support.flatten(1).tolist())
    assert not (episodes.support == episodes.query.view(-1, 1, 1)).any()


def test_everything_is_drawn_evenly() -> None:
    """Ways, classes and images alike: a wrong draw would favour the low numbers."""
    data = written((6, 4), per_class=4)
    episodes = drawn(data, 5, 2, count=20_000)
    for counts in (
        torch.bincount(episodes.answer, minlength=5),
        torch.bincount(episodes.query, minlength=40),
        torch.bincount(data.labels[episodes.support[:, 0, 0]], minlength=10),
        *(torch.bincount(episodes.support[:, way, shot], minlength=40) for way in (0, 4) for shot in (0, 1)),
    ):
        share = counts / counts.sum()
        assert (share * len(share) - 1).abs().max() < 0.15


def test_classes_of_unequal_size() -> None:
    labels = torch.tensor([0] * 2 + [1] * 30 + [2] * 3 + [3])
    data = ImageSet(torch.zeros(36, 1, 2, 2, dtype=torch.uint8), labels[torch.randperm(36)], ("a", "b", "c", "d"))
    episodes = drawn(data, 3, 1)
    assert set(data.labels[episodes.support].unique().tolist()) == {0, 1, 2}
    assert len(torch.cat([episodes.support.flatten(), episodes.query]).unique()) == 35
    assert (most_ways(data, 1), most_ways(data, 2), most_ways(data, 40)) == (3, 2, 0)


def test_within_a_group_all_ways_are_of_one_alphabet() -> None:
    data = written((6, 8, 22))
    episodes = drawn(data, 7, 1, within=True)
    groups = [{group_of(data.classes[int(label)]) for label in data.labels[row].flatten()} for row in episodes.support]
    assert all(len(group) == 1 for group in groups)
    share = sum("A1" in group for group in groups) / 500
    assert {next(iter(group)) for group in groups} == {"A1", "A2"}  # the alphabet of six is too small
    assert 0.4 < share < 0.6  # alphabets alike, whatever their size
    assert most_ways(data, 1, within_group=True) == 22


def test_the_seed_decides() -> None:
    data = written((6, 8))
    one, same, other = drawn(data, 5, 1), drawn(data, 5, 1), drawn(data, 5, 1, seed=1)
    assert all(torch.equal(getattr(one, name), getattr(same, name)) for name in ("support", "query", "answer"))
    assert not torch.equal(one.query, other.query)


@pytest.mark.parametrize(
    ("ways", "shots", "within", "message"),
    [
        (15, 1, False, "expected 15 classes with at least 2 images each for 15-way 1-shot, got 14 in the set"),
        (2, 8, False, "expected 2 classes with at least 9 images each for 2-way 8-shot, got 0"),
        (9, 1, True, "got 8 in the largest of 2 groups"),
        (1, 1, False, "expected ways >= 2"),
    ],
)
def test_too_little_is_an_error(ways: int, shots: int, within: bool, message: str) -> None:
    with pytest.raises(TurncoatError, match=message):
        drawn(written((6, 8)), ways, shots, within=within)


def test_classes_without_a_group_are_in_none() -> None:
    data = ImageSet(torch.zeros(8, 1, 2, 2, dtype=torch.uint8), torch.arange(4).repeat(2), ("a", "b", "c", "d"))
    assert (most_ways(data, 1), most_ways(data, 1, within_group=True)) == (4, 0)
    with pytest.raises(TurncoatError, match="got 0 in the largest of 0 groups"):
        drawn(data, 2, 1, within=True)
