"""Probabilities from scores, and several methods together."""

from __future__ import annotations

import pytest
import torch

from turncoat.audit.annotators import attribute
from turncoat.detect.data.combine import combine
from turncoat.detect.data.common_component import CommonComponent
from turncoat.detect.data.doubt import label_doubt
from turncoat.detect.data.duplicate_patch import DuplicatePatch
from turncoat.detect.data.evaluated import against_classes, against_doubt
from turncoat.detect.data.label_doubt import LabelDoubt
from turncoat.detect.data.spectral import SpectralSignatures
from turncoat.detect.data.strip import Strip
from turncoat.detect.metrics import auroc

LABELS = torch.arange(10).repeat_interleave(500)
TRUTH = (LABELS == 3) & (torch.arange(5000) % 500 < 60)


def noise(seed: int) -> torch.Tensor:
    return torch.randn(5000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_what_one_class_alone_has_stands_out() -> None:
    found = against_classes(CommonComponent(), noise(0) + 7.0 * TRUTH, LABELS, 10)
    assert found.classes == (3,)
    assert found.estimated == pytest.approx(60, abs=6)
    assert float(found.probability[TRUTH].mean()) > 0.95
    assert float(found.probability[~TRUTH].sum()) < 6


@pytest.mark.parametrize("seed", range(10))
def test_noise_does_not(seed: int) -> None:
    assert not against_classes(CommonComponent(), noise(seed) + 4, LABELS, 10).stands_out


def test_what_all_classes_have_is_no_poison() -> None:
    tails = 7.0 * (torch.arange(5000) % 500 < 60)
    assert not against_classes(CommonComponent(), noise(0) + tails, LABELS, 10).stands_out


def test_silent_methods_do_not_drown_a_loud_one() -> None:
    loud = against_classes(CommonComponent(), noise(0) + 8.0 * TRUTH, LABELS, 10)
    silent = [against_classes(CommonComponent(), noise(seed), LABELS, 10) for seed in range(1, 12)]
    together = combine([loud, *silent], LABELS)
    assert auroc(together.score, TRUTH) > 0.99
    assert together.estimated == pytest.approx(60, abs=6)
    assert 50 <= together.to_inspect() <= 75
    assert together.false_discovery_rate(55) < 0.1


def test_what_is_explained_already_is_not_counted_again() -> None:
    sharp = against_classes(CommonComponent(), noise(0) + 12.0 * TRUTH, LABELS, 10)
    oddities = (LABELS == 3) & (torch.arange(5000) % 500 >= 470)
    dull = against_classes(DuplicatePatch(), 0.1 * noise(1).abs() + 2.0 * TRUTH + 0.5 * oddities, LABELS, 10)
    assert dull.stands_out
    assert combine([sharp, dull], LABELS).estimated == pytest.approx(60, abs=3)


def test_what_is_not_explained_is_added() -> None:
    second = (LABELS == 3) & (torch.arange(5000) % 500 >= 450)
    first = against_classes(CommonComponent(), noise(0) + 12.0 * TRUTH, LABELS, 10)
    other = against_classes(DuplicatePatch(), 0.1 * noise(1).abs() + 2.0 * second, LABELS, 10)
    assert combine([first, other], LABELS).estimated == pytest.approx(110, abs=5)


def test_oddities_of_a_class_far_below_its_poison_are_not_counted() -> None:
    own = LABELS == 3
    scores = torch.where(own, noise(0).abs() / 4, 0.0) + 2.0 * TRUTH  # other classes have none: every own one is rare
    assert against_classes(DuplicatePatch(), scores, LABELS, 10).estimated == pytest.approx(60, abs=3)


def test_the_body_of_a_class_is_not_counted_where_the_others_have_no_scores() -> None:
    scores = torch.where(LABELS == 3, noise(0), 0.0) + 5.0 * TRUTH
    assert against_classes(CommonComponent(), scores, LABELS, 10).estimated == pytest.approx(60, abs=12)


def test_false_labels_that_an_image_method_explains_are_not_counted_again() -> None:
    given = torch.where(TRUTH, 7, LABELS)
    doubt, _ = label_doubt(predictions(LABELS, 1.0), given)
    labels = against_doubt(LabelDoubt(), doubt, doubt, given, 10)
    images = against_classes(CommonComponent(), noise(0) + 12.0 * TRUTH, given, 10)
    together = combine([images, labels], given)
    assert labels.estimated > 50
    assert len(together.told) == 1
    assert together.estimated == pytest.approx(60, abs=3)


def test_a_method_that_does_not_convict_needs_one_of_another_kind() -> None:
    features = against_classes(SpectralSignatures(), noise(0) + 8.0 * TRUTH, LABELS, 10)
    behaviour = against_classes(Strip(), noise(1) + 8.0 * TRUTH, LABELS, 10)
    assert not combine([features], LABELS).stands_out
    assert not combine([features, features], LABELS).stands_out
    assert combine([features, behaviour], LABELS).stands_out


def predictions(labels: torch.Tensor, hardness: float, seed: int = 0) -> torch.Tensor:
    """Logits of an honest network: its classes are drawn by its own probabilities."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(labels), 10, generator=draw) * hardness
    return logits + 6 * torch.nn.functional.one_hot(labels, 10)


def test_false_labels_are_counted_and_found() -> None:
    draw = torch.Generator().manual_seed(0)
    wrong = torch.rand(5000, generator=draw) < 0.06
    given = torch.where(wrong, (LABELS + torch.randint(1, 10, (5000,), generator=draw)) % 10, LABELS)
    doubt, _ = label_doubt(predictions(LABELS, 1.0), given)
    assert float(doubt.sum()) == pytest.approx(int(wrong.sum()), rel=0.15)
    assert auroc(doubt, wrong) > 0.99
    found = against_doubt(LabelDoubt(), doubt, doubt, given, 10)
    assert -1 in found.classes


def test_false_labels_of_one_class_name_it() -> None:
    given = torch.where(TRUTH, 7, LABELS)
    doubt, _ = label_doubt(predictions(LABELS, 1.0), given)
    assert against_doubt(LabelDoubt(), doubt, doubt, given, 10).classes == (7,)


@pytest.mark.parametrize("hardness", [0.5, 1.5, 2.5])
def test_hard_samples_are_no_false_labels(hardness: float) -> None:
    logits = predictions(LABELS, hardness)
    true = torch.distributions.Categorical(logits=logits)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        labels = true.sample()
    doubt, _ = label_doubt(logits, labels)
    assert not against_doubt(LabelDoubt(), doubt, doubt, labels, 10).stands_out


def doubted(*shares: float) -> torch.Tensor:
    """So large a share of each class's 500 labels is doubted by 0.9."""
    return torch.cat([0.9 * (torch.arange(500) < round(500 * share / 0.9)) for share in shares]).double()


@pytest.mark.parametrize(
    ("shares", "classes"),
    [
        ((0.015, 0, 0.044, 0.061, 0.014, 0.034, 0, 0, 0, 0), ()),  # CIFAR-10's own, 10,000 images
        ((0.103, 0, 0.047, 0.036, 0.027, 0.033, 0, 0.009, 0, 0), (0,)),
        ((0.03, 0.006, 0.006, 0, 0, 0, 0, 0, 0, 0), (0,)),
        ((0.03, 0.012, 0, 0, 0, 0, 0, 0, 0, 0), ()),
        ((0, 0.2, 0, 0.15, 0, 0, 0, 0, 0, 0), (1, 3)),
        ((0.05,) * 10, (-1,)),
    ],
)
def test_some_classes_are_harder_than_others(shares: tuple[float, ...], classes: tuple[int, ...]) -> None:
    assert against_doubt(LabelDoubt(), doubted(*shares), doubted(*shares), LABELS, 10).classes == classes


def test_a_single_class_has_nothing_to_stand_out_against() -> None:
    labels = torch.zeros(100, dtype=torch.int64)
    assert against_doubt(LabelDoubt(), labels.double(), labels.double(), labels, 1).classes == ()


def test_annotators() -> None:
    who = ["ann"] * 100 + ["bob"] * 100 + ["eve"] * 100
    suspect = [i % 50 == 0 for i in range(200)] + [i % 3 == 0 for i in range(100)]
    first, *others = attribute(suspect, who)
    assert (first.name, first.images, first.suspects) == ("eve", 100, 34)
    assert first.p_value < 1e-6 and first.low < 0.34 < first.high
    assert all(one.p_value == 1.0 for one in others)
