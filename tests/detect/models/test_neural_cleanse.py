"""Neural Cleanse on a hand-made network whose backdoor is known to the pixel."""

import pytest
import torch
from planted_columns import CLASSES, SHAPE, make_clean, make_network

from turncoat.detect.models.base import Suspect
from turncoat.detect.models.inversion import Patches, invert
from turncoat.detect.models.moderated import Spread, moderated_p, outlier
from turncoat.detect.models.neural_cleanse import CLEAN, NeuralCleanse
from turncoat.errors import TurncoatError
from turncoat.train.placement import place


def make_suspect(backdoor: int | None, seed: int = 0) -> Suspect:
    return Suspect(make_network(backdoor), SHAPE, CLASSES, make_clean(), place("cpu", "fp32"), seed)


def test_finds_the_planted_class_and_pixels() -> None:
    found = NeuralCleanse().examine(make_suspect(backdoor=4))
    assert found.target == 4 and found.p_value < 1e-3
    assert found.trigger is not None
    heaviest = int(found.trigger.mask[0].argmax())
    assert divmod(heaviest, 13) in {(11, 12), (12, 12)}
    assert found.details["success"] > 0.85


def test_the_p_value_is_of_sizes_that_tell_one_pixel_from_three() -> None:
    found = NeuralCleanse().examine(make_suspect(backdoor=4))
    scores = torch.tensor(found.class_scores)
    assert (found.target, found.p_value) == (4, pytest.approx(moderated_p(scores, "high", CLEAN)[1]))
    assert float((-scores[4]).exp()) == pytest.approx(found.details["size"], abs=1.5)
    assert (-scores).exp().min() > 0.1


def test_leaves_a_clean_network_alone() -> None:
    assert NeuralCleanse().examine(make_suspect(backdoor=None)).p_value > 0.01


def test_the_same_suspect_gives_the_same_finding_and_stays_as_it_was() -> None:
    suspect = make_suspect(backdoor=2)
    suspect.network.train()
    first, second = (NeuralCleanse(rung=10, last=10, polish=5).examine(suspect) for _ in range(2))
    assert first.class_scores == second.class_scores and first.p_value == second.p_value
    assert suspect.network.training and all(parameter.requires_grad for parameter in suspect.network.parameters())


def test_counts_its_passes() -> None:
    found = NeuralCleanse(starts=2, rung=3, last=4, polish=5, batch=7).examine(make_suspect(None))
    assert found.passes == 7 * (3 * 12 + 4 * 6 + 5)


def test_many_classes_drop_out_and_the_planted_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turncoat.detect.models.neural_cleanse._CONTEST", 2)
    found = NeuralCleanse().examine(make_suspect(backdoor=1))
    assert found.target == 1 and len(found.class_scores) == 6


def test_needs_images() -> None:
    suspect = make_suspect(None)
    without = Suspect(suspect.network, suspect.shape, CLASSES, None, suspect.placement, 0)
    with pytest.raises(TurncoatError, match="give --clean"):
        NeuralCleanse().examine(without)


def test_a_batch_of_candidates_is_searched_as_each_by_itself() -> None:
    suspect = make_suspect(3)
    assert suspect.clean is not None
    start = Patches.start([3], suspect.shape, torch.Generator().manual_seed(0))
    twice = Patches(**{name: torch.cat([value, value]) for name, value in vars(start).items()})

    def search(patches: Patches) -> Patches:
        draw = torch.Generator().manual_seed(0)
        clean = suspect.clean
        assert clean is not None
        few = clean.subset(torch.tensor([0, 3]))  # one image is no target's, so that every draw is the same
        return invert(suspect.network, few, patches, steps=5, batch=4, placement=suspect.placement, draw=draw)

    assert torch.allclose(search(twice).masks[1], search(start).masks[0], atol=1e-6)


def test_moderated_p_is_about_right_under_the_null_and_small_for_an_outlier() -> None:
    draw = torch.Generator().manual_seed(0)
    clean = torch.randn(1000, 10, generator=draw) * 0.35
    low = [moderated_p(row, "low", Spread(0.35, 8))[1] for row in clean]
    assert 0.01 <= sum(p <= 0.05 for p in low) / 1000 <= 0.06
    clean[0, 7] = 3.0
    assert moderated_p(clean[0], "high", Spread(0.35, 8)) == (7, pytest.approx(0, abs=1e-3))
    assert moderated_p(-clean[0], "low", Spread(0.35, 8))[0] == 7


def test_deviations_are_those_of_a_normal_whatever_the_freedom() -> None:
    x = torch.tensor([0.0, 0.1, -0.1, 0.2, -0.2, 1.0])
    sure, unsure = (outlier(x, "high", Spread(0.2, freedom)) for freedom in (1e6, 2.0))
    assert sure.place == unsure.place == 5
    assert sure.deviations == pytest.approx(1.0 / (0.2 * 1.2**0.5), rel=1e-3)
    assert sure.spread == pytest.approx(0.1581, abs=1e-4)
    assert 1.5 < unsure.deviations < sure.deviations
    assert sure.p_value < unsure.p_value
    assert outlier(1e3 * x, "high", Spread(1e-9, 1e6)).deviations < float("inf")
