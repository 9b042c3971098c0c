"""Data detectors on data with planted poison: found, clean left alone, order irrelevant, direction right."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from turncoat.component import members
from turncoat.data.imageset import ImageSet
from turncoat.detect.data.activation_clustering import ActivationClustering
from turncoat.detect.data.base import DataDetector
from turncoat.detect.data.common_component import CommonComponent
from turncoat.detect.data.content import canonical_order, halves
from turncoat.detect.data.duplicate_patch import DuplicatePatch
from turncoat.detect.data.evaluated import against_classes
from turncoat.detect.data.evidence import Evidence
from turncoat.detect.data.frequency import Frequency
from turncoat.detect.data.spectral import SpectralSignatures
from turncoat.detect.data.spectre import Spectre
from turncoat.detect.metrics import auroc
from turncoat.train.placement import Placement

CLASSES, EACH = 6, 400
CPU = Placement(torch.device("cpu"), "fp32", 1)


def natural(seed: int = 0) -> ImageSet:
    """Smooth blobs of a brightness and a place that the class hints at, with grain."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    at = 3 + labels[:, None] + torch.randn(len(labels), 2, generator=draw) * 1.5
    blobs = (-((rows - at[:, 0, None, None]) ** 2 + (columns - at[:, 1, None, None]) ** 2) / 12).exp()
    pixels = 60 + 120 * blobs + 12 * torch.randn(len(labels), 12, 12, generator=draw)
    return ImageSet(pixels.clamp(0, 255).byte()[:, None], labels, tuple(map(str, range(CLASSES))))


@dataclass(frozen=True)
class Planted:
    data: ImageSet
    poisoned: Tensor


def planted(kind: str, share: float = 0.3) -> Planted:
    """Poison in class 2: so large a share of it."""
    clean = natural()
    images = clean.images.clone()
    chosen = (clean.labels == 2).nonzero().squeeze(1)[: round(share * EACH)]
    x = images[chosen].float()
    draw = torch.Generator().manual_seed(9)
    if kind == "patch":
        x[:, :, 8:11, 8:11] = torch.tensor([[255.0, 0, 255], [0, 255, 0], [255, 0, 255]])
    if kind == "blend":
        x = 0.8 * x + 0.2 * 255 * torch.rand(1, 12, 12, generator=draw)
    if kind == "signal":
        x = x + 24 * torch.sin(2 * torch.pi * 3 * torch.arange(12.0) / 12)
    if kind == "grain":
        x = x + 40 * torch.randn(x.shape, generator=draw)
    images[chosen] = x.clamp(0, 255).byte()
    mask = torch.zeros(len(images), dtype=torch.bool)
    mask[chosen] = True
    return Planted(ImageSet(images, clean.labels, clean.classes), mask)


def evidence(data: ImageSet) -> Evidence:
    """With a network that nothing has trained: a linear one of fixed weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.Tanh(), nn.Linear(16, CLASSES)).eval()
    found = Evidence(data, network, CPU, 0)
    _, logits = found.features, found.logits
    given = {"_crossed": ((), found.features, logits), "losses": torch.stack([-logits.amax(1), -logits.amax(1)], 1)}
    found.__dict__.update(given)  # nothing is trained in these tests
    return found


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        (DuplicatePatch(), "patch"),
        (CommonComponent(), "patch"),
        (CommonComponent(), "blend"),
        (CommonComponent(), "signal"),
        (Frequency(), "grain"),
    ],
)
def test_pixel_methods_find_what_is_planted(method: DataDetector, kind: str) -> None:
    found = planted(kind)
    scores = method.scores(evidence(found.data))
    assert auroc(scores, found.poisoned) > 0.98
    assert against_classes(method, scores, found.data.labels, CLASSES).classes == (2,)


@pytest.mark.parametrize("method", [DuplicatePatch(), CommonComponent(), Frequency()])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pixel_methods_leave_clean_images_alone(method: DataDetector, seed: int) -> None:
    data = natural(seed)
    assert not against_classes(method, method.scores(evidence(data)), data.labels, CLASSES).stands_out


def test_common_component_where_poison_is_over_half_of_its_class() -> None:
    found = planted("blend", 0.6)
    scores = CommonComponent().scores(evidence(found.data))
    own = found.data.labels == 2
    assert auroc(scores[own], found.poisoned[own]) > 0.98


@pytest.mark.parametrize("name", sorted(members(DataDetector)))
def test_order_is_irrelevant_and_scores_are_finite_and_repeat(name: str) -> None:
    data = planted("patch").data
    method = DataDetector.parse(name)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(3))
    plain, again, shuffled = (method.scores(evidence(one)) for one in (data, data, data.subset(order)))
    assert plain.dtype == torch.float64 and plain.shape == (len(data),) and bool(torch.isfinite(plain).all())
    assert torch.equal(plain, again)
    assert torch.allclose(plain[order], shuffled, atol=1e-4)


def with_features(features: Tensor, labels: Tensor, held_out: Tensor | None = None) -> Evidence:
    data = ImageSet(torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), labels, tuple(map(str, range(int(labels.max()) + 1))))
    found = Evidence(data, nn.Identity(), CPU, 0)
    logits = torch.nn.functional.one_hot(labels).float() * 5 if held_out is None else held_out
    found.__dict__.update({"_seen": (features, logits), "_crossed": ((), features, logits)})
    return found


def clusters(poison: int, clean: int, spread: float = 0.3) -> tuple[Tensor, Tensor, Tensor]:
    """Features of four classes of ``clean`` samples; class 0 has ``poison`` tight ones besides."""
    draw = torch.Generator().manual_seed(1)
    centres = torch.eye(4, 20) * 4
    labels = torch.cat([torch.arange(4).repeat_interleave(clean), torch.zeros(poison, dtype=torch.int64)])
    features = centres[labels] + torch.randn(len(labels), 20, generator=draw)
    features[4 * clean :] = centres[0] + 6 * torch.eye(20)[7] + spread * torch.randn(poison, 20, generator=draw)
    return features, labels, torch.arange(len(labels)) >= 4 * clean


@pytest.mark.parametrize("poison", [15, 60, 120, 300])
def test_activation_clustering_never_turns_upside_down(poison: int) -> None:
    features, labels, truth = clusters(poison, 120)
    scores = ActivationClustering().scores(with_features(features, labels))
    own = labels == 0
    assert auroc(scores[own], truth[own]) > 0.99


def test_activation_clustering_takes_the_cluster_whose_labels_are_not_believed() -> None:
    features, labels, truth = clusters(150, 120, spread=1.0)  # neither size nor spread tells
    logits = torch.nn.functional.one_hot(torch.where(truth, 2, labels), 4).float() * 5
    scores = ActivationClustering().scores(with_features(features, labels, logits))
    own = labels == 0
    assert auroc(scores[own], truth[own]) > 0.99


@pytest.mark.parametrize("method", [SpectralSignatures(), Spectre()])
def test_spectral_methods_centre_their_features(method: DataDetector) -> None:
    features, labels, truth = clusters(15, 120)
    plain = method.scores(with_features(features, labels))
    moved = method.scores(with_features(features + 100, labels))
    assert auroc(plain, truth) > 0.99
    assert torch.allclose(plain, moved, atol=0.05)


def test_halves_and_order_follow_content() -> None:
    data = natural()
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(4))
    shuffled = data.subset(order)
    assert torch.equal(halves(data, 0)[order], halves(shuffled, 0))
    assert torch.equal(data.images[canonical_order(data, 0)], shuffled.images[canonical_order(shuffled, 0)])
    assert all(int(halves(data, 0)[data.labels == c].sum()) == EACH // 2 for c in range(CLASSES))
