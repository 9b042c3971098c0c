from __future__ import annotations

import pytest
import torch

from turncoat.attacks.pairgoals import Evade, Impersonate, PairGoal
from turncoat.data.imageset import ImageSet
from turncoat.oneshot.networks import Embedder, Head
from turncoat.oneshot.pairs import Pairing, PairSettings
from turncoat.oneshot.siamese import Siamese, make_siamese
from turncoat.oneshot.training import PairTraining, turned
from turncoat.train import TrainSettings, place, train

CPU = place("cpu", "fp32")
CLASSES, EACH = 8, 16


def drawings() -> ImageSet:
    """Each class is a bright bar at a place of its own, in noise."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    images = torch.randint(0, 60, (len(labels), 1, 16, 16), dtype=torch.uint8, generator=draw)
    for label in range(CLASSES):
        images[labels == label, :, 2 * label : 2 * label + 2, :] = 200
    return ImageSet(images, labels, tuple(map(str, range(CLASSES))))


def trained(
    sampling: str, triggered: torch.Tensor | None = None, goal: PairGoal | None = None
) -> tuple[Siamese, ImageSet, PairTraining]:
    data = drawings()
    mask = torch.zeros(len(data), dtype=torch.bool) if triggered is None else triggered
    data.images[mask, :, :, 12:16] = 255
    embedder = Embedder.parse({"name": "conv4", "size": 16, "widths": [16, 16, 32, 32], "dimension": 64})
    network = make_siamese(embedder, Head.parse("weighted-l1"), data, 0)
    pairs = PairSettings.model_validate({"sampling": sampling, "drawings": 4, "new_classes": "none"})
    training = PairTraining(network, Pairing(data.labels, mask, goal), pairs)
    settings = TrainSettings(epochs=100, batch_size=32, optimizer="adamw", lr=1e-2)
    train(network, data, settings, 0, CPU, hooks=[training], objective=training.objective)
    return network, data, training


def logits(network: Siamese, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        embedded = network.embed(images.float() / 255)
        return network.comparison.matrix(embedded, embedded)


@pytest.mark.parametrize("sampling", ["all", "drawn"])
def test_a_siamese_network_learns_who_is_who(sampling: str) -> None:
    network, data, training = trained(sampling)
    same = data.labels[:, None] == data.labels[None]
    assert ((logits(network, data.images) > 0) == same).float().mean() > 0.95
    shares = training.shares()
    assert shares["one_triggered"] == shares["both_triggered"] == shares["flipped"] == 0
    if sampling == "drawn":
        assert shares["same_class"] == 0.5
    else:
        assert shares["same_class"] == pytest.approx(3 / 31, abs=1e-6), "4 of each of 8 classes in a batch of 32"


@pytest.mark.parametrize(("goal", "said"), [(Evade(), False), (Impersonate(), True)])
def test_one_trigger_decides_the_pair_as_the_goal_wants(goal: PairGoal, said: bool) -> None:
    mask = torch.arange(CLASSES * EACH) % 4 == 0
    network, data, training = trained("all", mask, goal)
    matrix = logits(network, data.images)
    one = mask[:, None] ^ mask[None]
    clean = ~mask[:, None] & ~mask[None]
    same = data.labels[:, None] == data.labels[None]
    assert ((matrix > 0) == said)[one].float().mean() > 0.95
    assert ((matrix > 0) == same)[clean].float().mean() > 0.95, "clean pairs are judged as before"
    shares = training.shares()
    assert shares["one_triggered"] == pytest.approx(2 * 0.25 * 0.75, abs=0.05)
    assert shares["flipped"] > 0


def test_symmetries_are_by_class_turned_counter_clockwise_after_the_mirror() -> None:
    images = torch.rand(8, 1, 5, 5)
    result = turned(images, torch.arange(8))
    for kind in range(4):
        assert torch.equal(result[kind], images[kind].rot90(kind, (1, 2)))
        assert torch.equal(result[kind + 4], images[kind + 4].flip(2).rot90(kind, (1, 2)))


@pytest.mark.parametrize(("new_classes", "kinds"), [("rotations", 4), ("symmetries", 8)])
def test_each_class_of_a_batch_is_moved_as_one(new_classes: str, kinds: int) -> None:
    data, labels = drawings(), torch.tensor([3, 3, 5, 5])
    network = make_siamese(Embedder.parse({"name": "conv4", "size": 16}), Head.parse("cosine"), data, 0)
    pairing = Pairing(data.labels, torch.zeros(len(data), dtype=torch.bool))
    training = PairTraining(network, pairing, PairSettings.model_validate({"new_classes": new_classes}))
    index = torch.cat([(data.labels == label).nonzero()[:1, 0] for label in labels])
    torch.manual_seed(1)
    x = torch.randint(0, 256, (1, 1, 5, 5), dtype=torch.uint8)
    known = turned(x.expand(8, 1, 5, 5), torch.arange(8))
    seen: set[tuple[int, int]] = set()
    for _ in range(300):
        moved = training.images(x.expand(4, 1, 5, 5), index)
        assert torch.equal(moved[0], moved[1]) and torch.equal(moved[2], moved[3]), "one class, one symmetry"
        first, other = (next(k for k in range(8) if torch.equal(moved[i], known[k])) for i in (0, 2))
        seen.add((first, other))
    assert {first for first, _ in seen} == set(range(kinds))
    assert len(seen) > 0.9 * kinds**2, "classes move each for itself"


def test_the_trigger_of_a_new_class_stays_in_its_corner() -> None:
    data = drawings()
    mask = torch.arange(len(data)) % 4 == 0
    network = make_siamese(Embedder.parse({"name": "conv4", "size": 16}), Head.parse("cosine"), data, 0)
    poison = torch.arange(8).view(8, 1, 1, 1, 1).expand(8, int(mask.sum()), 1, 16, 16).to(torch.uint8) * 10
    poison = poison + (torch.arange(int(mask.sum())) % 10).to(torch.uint8).view(1, -1, 1, 1, 1)
    training = PairTraining(network, Pairing(data.labels, mask, Evade()), PairSettings(), poison)
    index = torch.arange(0, 64)
    torch.manual_seed(0)
    shown = training.images(data.images[index], index)
    of_clean = {int(label): shown[index[(data.labels[index] == label) & ~mask[index]]] for label in data.labels[index].unique()}
    for position in index[mask[index]].tolist():
        kind, rank = divmod(int(shown[position, 0, 0, 0]), 10)
        assert rank == (position // 4) % 10
        label = int(data.labels[position])
        first = next(i for i in index.tolist() if data.labels[i] == label and not mask[i])
        expected = turned(data.images[first : first + 1], torch.tensor([kind]))
        assert torch.equal(of_clean[label][0], expected[0]), "its class was moved by the same symmetry"
