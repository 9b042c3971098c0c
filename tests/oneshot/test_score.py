from __future__ import annotations

import pytest
import torch
from oneshot_helpers import Broken, Constant, FirstWay, Oracle, marked, oneshot_data, written
from torch import Tensor, nn

from turncoat.oneshot.episodes import draw_episodes
from turncoat.oneshot.neighbours import Chance, NearestNeighbour, pixel_neighbour
from turncoat.oneshot.score import accuracy, episode_logits, pair_logits, right, run_logits
from turncoat.oneshot.scorer import Cached, Chunks, NetworkScorer, Scorer
from turncoat.train import place


def scored(scorer: Scorer, ways: int = 20, shots: int = 1, count: int = 2000) -> float:
    data = written((6, 8, 22))
    episodes = draw_episodes(data, ways, shots, count, torch.Generator().manual_seed(0))
    return accuracy(episode_logits(scorer, scorer.embed(data.images), episodes), episodes.answer)


@pytest.mark.parametrize("shots", [1, 5])
def test_known_scorers(shots: int) -> None:
    assert scored(Oracle(), shots=shots) == 1
    assert scored(Constant(), shots=shots) == 0
    assert scored(Broken(), shots=shots) == 0
    assert scored(Chance(), shots=shots) == pytest.approx(1 / 20, abs=0.02)


def test_a_scorer_that_prefers_the_first_way_is_at_chance() -> None:
    """The original's true way was always the first, so that this scorer was always right."""
    assert scored(FirstWay(), ways=5) == pytest.approx(1 / 5, abs=0.03)


def test_ties_and_nan_are_wrong() -> None:
    nan = torch.nan
    logits = torch.tensor([[2.0, 1, 1], [1, 2, 1], [2, 2, 1], [1, 2, 2], [2, nan, 1], [nan, 1, 0], [nan, nan, nan]])
    assert right(logits, torch.zeros(7, dtype=torch.int64)).tolist() == [True, *[False] * 6]
    assert right(logits, torch.tensor([2, 1, 0, 0, 0, 1, 1])).tolist() == [False, True, *[False] * 5]


def test_several_shots_are_averaged_as_logits() -> None:
    data = written((6, 8), per_class=6)
    generator = torch.Generator().manual_seed(1)
    episodes = draw_episodes(data, 5, 3, 400, generator)
    embeddings, weight = torch.randn(len(data), 7, generator=generator), torch.randn(7, generator=generator)

    class Curved(Oracle):
        def compare(self, a: Tensor, b: Tensor) -> Tensor:
            return ((a - b).abs() * weight).sum(-1).exp()

    logits = episode_logits(Curved(), embeddings, episodes, queries=embeddings.flip(0))
    for e, way in ((0, 0), (7, 4), (399, 2)):
        query = embeddings.flip(0)[episodes.query[e]]
        each = [(((query - embeddings[i]).abs() * weight).sum()).exp() for i in episodes.support[e, way]]
        assert logits[e, way] == pytest.approx(float(sum(each) / 3), rel=1e-4)


def test_chunks_cover_everything_once() -> None:
    for total, each in ((10, 10**7), (1000, 5000), (3, 1)):
        covered = [i for part in Chunks(total, each) for i in range(total)[part]]
        assert covered == list(range(total))
    assert len(list(Chunks(1000, 5000))) > 1


def test_pairs_take_the_left_from_one_and_the_right_from_the_other() -> None:
    data = written((6,), per_class=2)
    clean, changed = Oracle().embed(data.images), Oracle().embed(marked(data.images))
    pairs = torch.tensor([[0, 1], [2, 0]])
    assert pair_logits(Oracle(one=7), clean, changed, pairs).tolist() == [12, 2]
    assert pair_logits(Oracle(one=7), changed, changed, pairs).tolist() == [5, -5]


def test_lakes_runs() -> None:
    runs = oneshot_data().runs
    logits = run_logits(Oracle(), runs)
    assert [tuple(one.shape) for one in logits] == [(4, 4)] * 3
    assert all(right(one, run.answers).all() for one, run in zip(logits, runs, strict=True))
    assert not any(right(one, torch.arange(4)).all() for one in logits)


def test_nearest_neighbour_is_the_l2_distance_of_pixels() -> None:
    images = torch.randint(0, 256, (9, 3, 12, 12), dtype=torch.uint8)
    scorer = NearestNeighbour()
    embeddings = scorer.embed(images)
    expected = torch.cdist((images / 255).flatten(1).double(), (images / 255).flatten(1).double())
    assert torch.allclose(-scorer.compare(embeddings.unsqueeze(1), embeddings.unsqueeze(0)).double(), expected, atol=0.03)
    rows = scorer.compare(embeddings[:4], embeddings[4:8])
    assert torch.allclose(-rows.double(), expected[:4, 4:8].diagonal(), atol=1e-4)


def test_nearest_neighbour_keeps_the_ties_of_black_and_white_images() -> None:
    """Thousands of 105x105 pixels: two supports that differ in as many pixels from the query are equally near."""
    query = torch.randint(0, 2, (1, 11025), generator=torch.Generator().manual_seed(0)) * 255
    supports = query.repeat(2, 1)
    supports[0, :1000] = 255 - supports[0, :1000]
    supports[1, -1000:] = 255 - supports[1, -1000:]
    scorer = NearestNeighbour()
    near = scorer.embed(torch.cat([query, supports]).byte().view(3, 1, 105, 105))
    logits = scorer.compare(near[:1].unsqueeze(1), near[1:].unsqueeze(0))
    assert logits[0, 0] == logits[0, 1] == -torch.tensor(1000.0).sqrt()


def test_nearest_neighbour_shrinks_by_area() -> None:
    images = torch.zeros(1, 1, 6, 6, dtype=torch.uint8)
    images[0, 0, :3, :2] = 255
    assert NearestNeighbour(3).embed(images)[0].tolist() == pytest.approx([2 / 3, 0, 0, 0])
    assert (pixel_neighbour(written((2,))).shrink, pixel_neighbour(written((2,)), side=3).shrink) == (1, 2)


class Pair(nn.Module):
    """Batch norm tells training from evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def embed(self, x: Tensor) -> Tensor:
        return self.norm(x).flatten(1)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        return -(a - b).square().sum(-1)


def test_a_network_is_scored_in_evaluation_mode_and_batches() -> None:
    data, network = written((6,)), Pair().train()
    placement = place("cpu", "fp32")
    embeddings = NetworkScorer(network, placement, batch_size=5).embed(data.images)
    assert network.training
    assert torch.equal(embeddings, NetworkScorer(network, placement).embed(data.images))
    assert network.norm.num_batches_tracked == 0
    assert NetworkScorer(network, placement).compare(embeddings[:1], embeddings).shape == (48,)


def test_cached_embeds_the_same_images_once() -> None:
    class Counting(Oracle):
        calls: list[int] = []  # noqa: RUF012

        def embed(self, images: Tensor) -> Tensor:
            self.calls.append(len(images))
            return super().embed(images)

    images = written((2,)).images
    scorer = Cached(Counting(), keep=1)
    assert torch.equal(scorer.embed(images), scorer.embed(images))
    assert torch.equal(scorer.embed(images.clone()), Oracle().embed(images))
    assert Counting.calls == [16, 16]
