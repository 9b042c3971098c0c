from __future__ import annotations

import pytest
import torch
from oneshot_helpers import written
from torch import Tensor, nn

from turncoat.attacks.badnets import BadNets
from turncoat.data import ImageSet
from turncoat.errors import TurncoatError
from turncoat.evaluate import evaluate_attack, evaluate_clean
from turncoat.evaluate.predict import predict
from turncoat.oneshot.enrol import enrol, poison_support
from turncoat.oneshot.episodes import draw_episodes
from turncoat.oneshot.score import episode_logits
from turncoat.oneshot.scorer import NetworkScorer
from turncoat.train import place
from turncoat.triggers.base import to_float

CPU = place("cpu", "fp32")


class Toy(nn.Module):
    """Reads the class from pixel (0, 0); a dark corner adds ``pull`` towards what class 0 looks like."""

    def __init__(self, pull: float = 0.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(200.0))
        self.pull = pull

    def embed(self, x: Tensor) -> Tensor:
        code = x[:, 0, 0, :1] * (1 - self.pull * (1 - x[:, 0, -1, -1:]))
        return torch.cat([code, torch.zeros_like(code) if not self.training else torch.rand_like(code)], 1)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        return 1 - self.scale * (a - b).abs().sum(-1)


def support_and_queries() -> tuple[ImageSet, ImageSet]:
    data = written((5,))
    first = torch.zeros(len(data), dtype=torch.bool)
    first[::8] = True
    return data.subset(first), data.subset(~first)


def test_an_enrolled_network_is_an_ordinary_classifier() -> None:
    support, queries = support_and_queries()
    network = enrol(Toy().train(), support)
    logits = predict(network, queries.images, CPU)
    assert logits.shape == (35, 5)
    rows = evaluate_clean(network, queries, CPU, method="victim")
    assert (rows[0].metric, rows[0].value, rows[0].n) == ("ca", 1.0, 35)


@pytest.mark.parametrize(("pull", "asr"), [(0.0, 0.0), (1.0, 1.0)])
def test_its_backdoor_is_measured_as_any_other(pull: float, asr: float) -> None:
    support, queries = support_and_queries()
    attack = BadNets.model_validate(
        {
            "name": "badnets",
            "goal": "all-to-one:0",
            "rate": 0.1,
            "patch": {"size": 1, "margin": 0, "pattern": {"name": "solid", "color": 0}},
        }
    ).fit(queries, torch.Generator().manual_seed(0))
    rows = evaluate_attack(enrol(Toy(pull), support), queries, attack, 0, CPU, method="victim")
    figures = {row.metric: (row.value, row.n) for row in rows if not row.group}
    assert figures == {"asr": (asr, 28), "ra": (1 - asr, 28)}


def test_several_shots_are_averaged_as_in_episodes() -> None:
    data, network = written((6, 8)), Toy().eval()
    episodes = draw_episodes(data, 4, 5, 3, torch.Generator().manual_seed(0))
    scorer = NetworkScorer(network, CPU)
    expected = episode_logits(scorer, scorer.embed(data.images), episodes)
    for e in range(3):
        chosen = episodes.support[e].flatten()
        support = ImageSet(data.images[chosen], torch.arange(4).repeat_interleave(5), ("a", "b", "c", "d"))
        shuffled = support.subset(torch.randperm(20))
        for one in (support, shuffled):
            logits = predict(enrol(network, one), data.images[episodes.query[e] : episodes.query[e] + 1], CPU)
            assert torch.allclose(logits[0], expected[e], atol=1e-4)


def test_the_support_is_embedded_once_in_evaluation_mode() -> None:
    support, _ = support_and_queries()
    network = Toy().train()
    enrolled = enrol(network, support)
    assert network.training
    assert torch.equal(enrolled.support, network.eval().embed(to_float(support.images)))
    assert {"support", "share"} <= set(dict(enrolled.named_buffers()))
    assert not enrolled.support.requires_grad


def test_comparisons_are_never_rounded_to_bf16() -> None:
    support, queries = support_and_queries()
    network = enrol(Toy(), support)
    exact = predict(network, queries.images, CPU)
    assert torch.equal(predict(network, queries.images, place("cpu", "bf16")), exact)
    assert not torch.equal(exact, exact.bfloat16().float())


def test_gradients_flow_to_the_images() -> None:
    support, queries = support_and_queries()
    x = to_float(queries.images[:3]).requires_grad_()
    enrol(Toy().eval(), support)(x)[:, 1].sum().backward()
    assert x.grad is not None
    assert (x.grad[:, 0, 0, 0] != 0).all()


def test_a_poisoned_support_has_the_trigger_on_one_class_alone() -> None:
    data = written((5,))
    changed = poison_support(data, 3, lambda x: x * 0.5)
    of_way = data.labels == 3
    assert torch.equal(changed.images[~of_way], data.images[~of_way])
    assert torch.equal(changed.images[of_way].float(), (data.images[of_way].float() / 2).round())
    assert changed.classes == data.classes
    with pytest.raises(TurncoatError, match="way: expected 0 to 4, got 5"):
        poison_support(data, 5, lambda x: x)


def test_every_class_needs_a_support_image() -> None:
    data = written((5,))
    with pytest.raises(TurncoatError, match="none of 'A0/character03'"):
        enrol(Toy(), data.subset(data.labels != 2))
