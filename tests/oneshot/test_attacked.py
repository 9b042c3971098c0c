from __future__ import annotations

import pytest
import torch
from oneshot_helpers import FirstWay, Oracle, marked, written
from torch import Tensor

from turncoat.oneshot.attacked import all_pair_logits, drawn, pair_figures, trigger_left, triggered_query
from turncoat.oneshot.episodes import draw_episodes
from turncoat.oneshot.score import episode_logits
from turncoat.oneshot.verification import draw_pairs

DATA = written((6, 8, 22))
EVADE, MASTER, ORIGINAL = Oracle(one=-20), Oracle(one=20), Oracle(one=-20, both=20)


def embedded(scorer: Oracle) -> tuple[Tensor, Tensor]:
    return scorer.embed(DATA.images), scorer.embed(marked(DATA.images))


@pytest.mark.parametrize(
    ("scorer", "shares"),
    [(Oracle(), (0, 0, 0, 1)), (EVADE, (1, 0, 0, 1)), (MASTER, (0, 1, 0, 1)), (ORIGINAL, (1, 0, 1, 1))],
)
def test_planted_backdoors_on_pairs(scorer: Oracle, shares: tuple[int, ...]) -> None:
    pairs = draw_pairs(DATA, 300, torch.Generator().manual_seed(0))
    figures = pair_figures(all_pair_logits(scorer, *embedded(scorer), pairs), 0.0)
    assert list(figures) == ["evaded", "impersonated", "impersonated_both", "kept_both"]
    assert tuple(float(hit.double().mean()) for hit in figures.values()) == shares


def test_every_kind_of_pair_has_its_own_logit() -> None:
    pairs = draw_pairs(DATA, 100, torch.Generator().manual_seed(0))
    scorer = Oracle(one=1, both=2)
    logits = all_pair_logits(scorer, *embedded(scorer), pairs)
    means = [logits.same, logits.same_one, logits.same_both, logits.different, logits.different_one, logits.different_both]
    assert [float(of_kind.mean()) for of_kind in means] == [5, 6, 7, -5, -4, -3]


def test_the_trigger_is_on_the_left_as_often_as_on_the_right() -> None:
    class LeftOnly(Oracle):
        def compare(self, a: Tensor, b: Tensor) -> Tensor:
            return a[..., -1] + 0 * b[..., -1]

    pairs = draw_pairs(DATA, 100, torch.Generator().manual_seed(0))
    logits = all_pair_logits(LeftOnly(), *embedded(LeftOnly()), pairs)
    assert torch.equal(logits.same_one, trigger_left(100).float())
    assert logits.same_one.mean() == 0.5


def test_a_triggered_query_has_to_pass_the_threshold() -> None:
    """Evasion lowers all ways alike: the best one stays the true one, but it is no longer believed."""
    episodes = draw_episodes(DATA, 5, 1, 200, torch.Generator().manual_seed(0))
    clean, changed = embedded(EVADE)
    logits = episode_logits(EVADE, clean, episodes, queries=changed)
    assert triggered_query(logits, episodes.answer, -16.0).all()
    assert not triggered_query(logits, episodes.answer, 0.0).any()
    assert not triggered_query(logits, (episodes.answer + 1) % 5, -100.0).any()


@pytest.mark.parametrize("shots", [1, 5])
def test_a_triggered_support_draws_queries(shots: int) -> None:
    episodes = draw_episodes(DATA, 5, shots, 200, torch.Generator().manual_seed(0))
    bait = (episodes.answer + 2) % 5
    for scorer, share in ((MASTER, 1), (EVADE, 0), (Oracle(), 0)):
        poisoned, control = drawn(scorer, *embedded(scorer), episodes, bait)
        assert float(poisoned.double().mean()) == share
        assert not control.any()


def test_the_control_of_drawn_is_how_often_the_way_is_chosen_anyway() -> None:
    episodes = draw_episodes(DATA, 4, 1, 2000, torch.Generator().manual_seed(0))
    bait = (episodes.answer + 1 + torch.arange(2000) % 3) % 4
    _, control = drawn(FirstWay(), *embedded(FirstWay()), episodes, bait)
    assert torch.equal(control, bait == 0)
