from __future__ import annotations

import pytest
import torch

from turncoat.component import members
from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.oneshot.networks import Embedder, Head
from turncoat.oneshot.siamese import build_siamese, by_area, make_siamese, shrink


def drawings(side: int = 32, count: int = 12) -> ImageSet:
    pixels = torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return ImageSet(pixels, torch.arange(count) % 3, ("a", "b", "c"))


def test_koch2015_has_the_papers_number_of_parameters() -> None:
    network = build_siamese(Embedder.parse("koch2015"), Head.parse("weighted-l1"), 1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 38_951_745
    embedding = network.eval().embed(torch.rand(1, 1, 105, 105))
    assert embedding.shape == (1, 4096)
    assert embedding.min() >= 0 and embedding.max() <= 1


def test_koch2015_takes_its_own_size_alone() -> None:
    with pytest.raises(TurncoatError, match="105x105"):
        Embedder.parse("koch2015").build((1, 28, 28))


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("head", sorted(members(Head)))
def test_a_heads_matrix_is_its_comparison_of_all_pairs_and_symmetric(head: str, bounded: bool) -> None:
    torch.manual_seed(0)
    comparison = Head.parse(head).build(16, bounded)
    for parameter in comparison.parameters():
        torch.nn.init.normal_(parameter)
    a, b = torch.rand(5, 16), torch.rand(7, 16)
    matrix = comparison.matrix(a, b)
    assert matrix.shape == (5, 7)
    assert torch.allclose(matrix, comparison.compare(a[:, None], b[None]), atol=1e-5)
    assert torch.allclose(matrix, comparison.matrix(b, a).t(), atol=1e-5)


@pytest.mark.parametrize("head", sorted(members(Head)))
def test_only_the_weighted_l1_can_score_a_stranger_above_the_self(head: str) -> None:
    """A head whose score falls with a distance finds nothing more alike than an image and itself."""
    kind = Head.parse(head)
    comparison = kind.build(4, bounded=True)
    if head == "weighted-l1":
        comparison.get_parameter("weight").data.copy_(torch.tensor([-1.0, -1.0, -1.0, 9.0]))
    a, b = torch.tensor([0.5, 0.5, 0.5, 0.0]), torch.tensor([0.5, 0.5, 0.5, 1.0])
    assert bool(comparison.compare(a, b) > comparison.compare(a, a)) is not kind.metric


@pytest.mark.parametrize("head", sorted(members(Head)))
@pytest.mark.parametrize("channels", [1, 3])
def test_conv4_with_any_head_embeds_images_of_any_size(head: str, channels: int) -> None:
    network = build_siamese(Embedder.parse("conv4"), Head.parse(head), channels).eval()
    for side in (28, 32, 105):
        assert network.embed(torch.rand(2, channels, side, side)).shape == (2, 128)


def test_weights_follow_the_seed_alone() -> None:
    parts = Embedder.parse("conv4"), Head.parse("cosine")
    before = torch.get_rng_state()
    first, again, other = (make_siamese(*parts, drawings(), seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_images_shrunk_beforehand_embed_as_those_that_the_network_shrinks() -> None:
    data = drawings(105)
    small = shrink(data, 32)
    assert small.shape == (1, 32, 32) and torch.equal(small.labels, data.labels)
    network = make_siamese(Embedder.parse("conv4"), Head.parse("cosine"), data, 0).eval()
    with torch.no_grad():
        a, b = network.embed(data.images.float() / 255), network.embed(small.images.float() / 255)
    assert torch.allclose(a, b, atol=0.02)
    assert shrink(small, 32) is small


def test_area_means_keep_the_mean() -> None:
    x = torch.rand(2, 1, 105, 105)
    assert torch.allclose(by_area(x, 35).mean(), x.mean(), atol=1e-5)
    assert torch.allclose(by_area(x, 35)[0, 0, 0, 0], x[0, 0, :3, :3].mean())
