from __future__ import annotations

import math

import pytest
import torch
from planted_network import CLASSES, SHAPE, TARGET, eager, planted, suspect
from torch import nn

from turncoat.component import members
from turncoat.detect.models.base import ModelDetector
from turncoat.detect.models.free_eagle import FreeEagle, anomaly, class_pairs
from turncoat.detect.models.halves import Halves, cut_at
from turncoat.detect.models.mm_bd import MMBD, gamma_p, largest_margins, margins
from turncoat.detect.models.moderated import moderated_p
from turncoat.detect.models.shifts import Radii
from turncoat.detect.models.universal_shift import CLEAN, UniversalShift, as_trigger, views
from turncoat.errors import TurncoatError
from turncoat.train import place

CPU = place("cpu", "fp32")
MM, SHIFT, EAGLE = MMBD(starts=3, steps=40), UniversalShift(steps=24, batch=6), FreeEagle(starts=2, steps=20)
ALL = pytest.mark.parametrize("detector", [MM, SHIFT, EAGLE], ids=lambda d: d.name)


def backdoored(detector: ModelDetector) -> nn.Module:
    return eager() if detector.name == "free-eagle" else planted(backdoor=True)


@ALL
def test_the_planted_target_is_found(detector: ModelDetector) -> None:
    found = detector.examine(suspect(backdoored(detector), images=detector.needs_images))
    assert found.target == TARGET
    assert found.p_value <= 0.01
    assert found.class_scores.index(max(found.class_scores)) == TARGET
    assert found.statistic > 1
    assert len(found.class_scores) == CLASSES
    assert all(map(math.isfinite, [found.statistic, found.p_value, *found.class_scores, *found.details.values()]))
    assert found.passes > 0 < found.seconds


@ALL
def test_a_clean_network_is_left_alone(detector: ModelDetector) -> None:
    found = detector.examine(suspect(planted(backdoor=False, seed=2), images=detector.needs_images))
    assert found.p_value > 0.05
    assert found.statistic < detector.examine(suspect(backdoored(detector))).statistic


@ALL
def test_again_is_the_same_and_the_network_stays_as_it_was(detector: ModelDetector) -> None:
    network = backdoored(detector)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    one, two = (detector.examine(suspect(network, seed=5)) for _ in range(2))
    assert (one.class_scores, one.p_value, one.statistic) == (two.class_scores, two.p_value, two.statistic)
    assert detector.examine(suspect(network, seed=6)).class_scores != one.class_scores
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


@pytest.mark.parametrize("detector", [MM, EAGLE], ids=lambda d: d.name)
def test_without_images_the_scale_of_the_logits_does_not_matter(detector: ModelDetector) -> None:
    plain = backdoored(detector)
    scaled = nn.Sequential(plain, Scale(30.0))
    found, again = (detector.examine(suspect(network, images=False)) for network in (plain, scaled))
    assert found.target == again.target
    assert again.p_value == pytest.approx(found.p_value, rel=0.1)


def test_a_shift_needs_images_and_gives_a_trigger_that_works() -> None:
    found = SHIFT.examine(suspect(planted(backdoor=True)))
    assert found.trigger is not None
    assert found.details["success"] > 0.5
    assert found.details["pixels_radius"] < 1
    with pytest.raises(TurncoatError, match="--clean"):
        SHIFT.examine(suspect(planted(backdoor=True), images=False))


@pytest.mark.parametrize("backdoor", [True, False])
def test_shifts_are_judged_by_the_spread_of_the_view_that_tells(backdoor: bool) -> None:
    found = SHIFT.examine(suspect(planted(backdoor=backdoor, seed=2)))
    view = min(("pixels", "both"), key=lambda name: found.details[f"{name}_p"])
    target, p = moderated_p(torch.tensor(found.class_scores), "high", CLEAN[view])
    assert (found.target, found.p_value) == (target, pytest.approx(min(1, 2 * p)))
    assert p == pytest.approx(found.details[f"{view}_p"])


def radii(logs: list[float], start: float = 0.1) -> Radii:
    values = torch.tensor(logs, dtype=torch.float64)
    return Radii(values, torch.zeros(len(logs), 3, 4, 4), values < 5, start, 1)


def test_a_class_that_is_near_in_channels_alone_counts_for_less() -> None:
    near = [-0.9, 0.02, -0.05, 0.08, 0.0, -0.06, 0.04, 0.1, -0.03, 0.01]
    plain = [0.03, 0.1, -0.02, -0.09, 0.01, 0.06, -0.1, 0.02, 0.05, -0.04]
    apart = {view.name: view.outlier for view in views({"pixels": radii(plain), "channels": radii(near)})}
    agreed = {view.name: view.outlier for view in views({"pixels": radii([-0.5, *plain[1:]]), "channels": radii(near)})}
    alone = moderated_p(radii(near).logs, "low", CLEAN["channels"])[1]
    assert apart["pixels"].p_value > 0.5
    assert apart["both"].p_value > 5 * alone
    assert agreed["both"].place == 0
    assert agreed["both"].p_value < min(0.001, agreed["pixels"].p_value, apart["both"].p_value)


def test_one_class_reached_among_unreached_ones_counts_only_if_nearly_nothing_reaches_it() -> None:
    far = [6.9] * 9
    assert views({"pixels": radii([1.0, *far])})[0].outlier.p_value == 1
    assert views({"pixels": radii([-3.0, *far])})[0].outlier.p_value < 1e-6


def test_where_most_classes_cannot_be_reached_the_one_that_can_is_no_target() -> None:
    network = planted(backdoor=False)
    head = network[3]
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight[4:] = 0
        head.bias[4:] = -1e4
    found = UniversalShift(steps=60, batch=4).examine(suspect(network))
    assert (found.p_value, found.statistic) == (1, 0)


def test_a_network_that_cannot_be_cut_is_searched_in_its_pixels_alone() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = planted(backdoor=True), planted(backdoor=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.one(x) + self.two(x)

    found = SHIFT.examine(suspect(Around().eval()))
    assert found.target == TARGET
    assert "both_p" not in found.details
    assert found.p_value == pytest.approx(found.details["pixels_p"])


def test_a_class_that_no_image_leads_to_has_a_small_margin_and_hides_no_target() -> None:
    network = planted(backdoor=True)
    with torch.no_grad():
        next(reversed(list(network.children()))).bias[7] -= 1e4
    found = MM.examine(suspect(network, images=False))
    assert all(map(math.isfinite, found.class_scores))
    assert found.class_scores[7] == min(found.class_scores)
    assert found.target == TARGET


def test_as_trigger_adds_the_shift_where_contrast_is_left() -> None:
    shift = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0)) / 100
    grey = torch.full((1, 3, 4, 4), 0.5)
    assert torch.allclose(as_trigger(shift)(grey), grey + shift, atol=1e-5)


def test_margins_lead_over_the_next_and_the_batch_is_of_separate_images() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    assert margins(logits, torch.tensor([0, 1])).tolist() == [1, -2]
    network, x = planted(backdoor=True), torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([1, 1, 3, 3])
    whole, _ = largest_margins(network, x, classes, CPU, steps=9, lr=0.03)
    parts = [largest_margins(network, x[i : i + 1], classes[i : i + 1], CPU, steps=9, lr=0.03)[0] for i in range(4)]
    assert torch.allclose(whole, torch.cat(parts), rtol=1e-4)
    assert (whole >= margins(network(x), classes)).all()


def test_the_gamma_p_of_the_paper() -> None:
    drawn = torch.tensor([3.0, 4.0, 5.0, 3.5, 4.5, 4.2, 3.8, 5.2, 4.4])
    assert gamma_p(torch.cat([drawn, torch.tensor([4.1])])) > 0.2
    assert gamma_p(torch.cat([drawn, torch.tensor([12.0])])) < 1e-3
    assert math.isnan(gamma_p(torch.cat([drawn, torch.tensor([-1.0])])))


def test_class_pairs_know_neither_scale_nor_the_own_class() -> None:
    logits = torch.tensor([[9.0, 1.0, 3.0, 0.0], [8.0, 1.0, 3.0, 0.0], [1.0, 7.0, 5.0, 2.0]])
    classes = torch.tensor([0, 0, 1])
    pairs = class_pairs(logits, classes)
    assert torch.allclose(class_pairs(logits * 20 + 3, classes)[:2], pairs[:2], equal_nan=True, atol=1e-5)
    assert pairs[:2].isnan().nonzero().tolist() == [[0, 0], [1, 1]]
    assert torch.allclose(pairs[:2].nansum(1), torch.ones(2))
    assert pairs[0].nan_to_num().argmax() == pairs[1].nan_to_num().argmax() == 2
    assert anomaly(torch.tensor([1.0, 2.0, 3.0, 4.0, 14.0])) == 5


def test_halves_make_the_whole() -> None:
    network, x = planted(backdoor=False), torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))
    halves = cut_at(network, x, CPU, (0.0,))
    assert torch.allclose(halves.behind(halves.front(x), x[:1]), network(x), atol=1e-5)
    assert not torch.allclose(halves.behind(halves.front(x).flip(0), x[:1]), network(x), atol=1e-2)


def test_a_network_that_cannot_be_cut_is_refused() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.flatten(1)
            return self.head(torch.cat([self.one(x), self.two(x)], 1))

    x = torch.rand(4, 1, 2, 2)
    network = Around()
    assert not Halves(network, network.one, CPU).holds(x)
    with pytest.raises(TurncoatError, match="hidden layer"):
        cut_at(network, x, CPU, (0.0, 1.0))


def test_the_registry_finds_them() -> None:
    assert {"mm-bd", "universal-shift", "free-eagle"} <= set(members(ModelDetector))
