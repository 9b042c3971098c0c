"""Random backdoor, BaN and c-BaN: what they do to images and batches, without a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from turncoat.attacks import Attack, triggered
from turncoat.attacks.dynamic_random import FittedRandomBackdoor
from turncoat.attacks.export import write_poisoned
from turncoat.attacks.jointly import FittedGenerator
from turncoat.data.imageset import ImageSet, Splits
from turncoat.errors import TurncoatError
from turncoat.train.hooks import Batch
from turncoat.triggers import to_float

CLASSES = ("ant", "bee", "cat", "dog")


def images(count: int = 400) -> ImageSet:
    """All black, so that a patch is whatever is not."""
    labels = torch.arange(4).repeat(count // 4)
    return ImageSet(torch.zeros(count, 3, 10, 10, dtype=torch.uint8), labels, CLASSES)


def fit(**settings: Any) -> Any:
    return Attack.parse(settings).fit(images(), torch.Generator().manual_seed(0))


def corner(image: Tensor) -> tuple[int, int, int]:
    """Row, column and side of what is not black in ``(C, H, W)``."""
    rows, columns = (image.sum(0) > 0).nonzero(as_tuple=True)
    assert len(rows) > 0
    height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
    assert height == width
    return int(rows.min()), int(columns.min()), height


@pytest.mark.parametrize("goal", ["all-to-one:2", "many-targets", "many-targets:ant,dog"])
def test_a_random_backdoor_gives_each_image_new_noise_at_a_place_of_its_target(goal: str):
    fitted: FittedRandomBackdoor = fit(name="random-backdoor", rate=0.5, goal=goal, size=2)
    poisoned = fitted.poison(images())
    chosen = poisoned.poisoned
    assert int(chosen.sum()) == 200
    assert (poisoned.data.images[~chosen] == 0).all()
    assert not poisoned.cover.any()
    assert poisoned.relabelled == 0.5
    places: dict[int, set[tuple[int, int]]] = {}
    patches: set[bytes] = set()
    for image, label in zip(poisoned.data.images[chosen], poisoned.data.labels[chosen].tolist(), strict=True):
        row, column, side = corner(image)
        assert side == 2
        places.setdefault(label, set()).add((row, column))
        patches.add(image[:, row : row + 2, column : column + 2].numpy().tobytes())
    assert len(patches) == 200, "no two are alike"
    assert set(places) == {"all-to-one:2": {2}, "many-targets": {0, 1, 2, 3}, "many-targets:ant,dog": {0, 3}}[goal]
    own = {"all-to-one:2": 25, "many-targets": 6, "many-targets:ant,dog": 12}[goal]
    assert {len(one) for one in places.values()} == {own}
    assert len(set.union(*places.values())) == own * len(places), "no place is two targets'"
    for target, known in places.items():
        x = images().images[:100]
        shown = triggered(fitted, x, torch.zeros(100).long(), torch.full((100,), target), torch.Generator().manual_seed(5))
        assert {corner(image)[:2] for image in shown} <= known, "the same places at test time"


@pytest.mark.parametrize("name", ["random-backdoor", "ban", "c-ban"])
def test_patches_that_find_no_room_are_refused_before_training(name: str):
    with pytest.raises(TurncoatError, match="a patch of 11x11 pixels does not fit into images of 10x10"):
        fit(name=name, size=11)
    with pytest.raises(TurncoatError, match="4 targets want a place each, but there is room for 1 such patches"):
        fit(name=name, size=6, goal="many-targets")
    if name == "c-ban":
        assert fit(name=name, size=6, places="shared").places.places.shape == (1, 1, 2)


class Victim(nn.Module):
    """Counts what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 64, 4))
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        return self.body(x)


def victim() -> Victim:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Victim().train()


def batch(step: int = 0) -> Batch:
    data = images(40)
    return Batch(to_float(data.images), data.labels, torch.arange(100, 140), 0, step)


@pytest.mark.parametrize("name", ["ban", "c-ban"])
def test_joint_training_adds_triggered_copies_and_moves_the_generator_alone(name: str):
    fitted: FittedGenerator = fit(name=name, rate=0.25, size=2, goal="many-targets")
    (hook,), network = fitted.hooks(), victim()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    start = fitted.state()
    for step in range(3):
        given = batch(step)
        made = hook.batch(network, given)
        assert torch.equal(made.images[:40], given.images), "the clean images stay"
        assert torch.equal(made.labels[:40], given.labels)
        assert made.index.tolist() == [*range(100, 140), *range(100, 110)]
        assert len(made.images) == len(made.labels) == 50
        for image, target in zip(made.images[40:], made.labels[40:].tolist(), strict=True):
            row, column, side = corner(image)
            assert side == 2
            assert [row, column] in fitted.places.places[target].tolist()
    assert not made.images.requires_grad
    assert network.training
    assert network.modes == [False] * 3, "one pass a step, without moving batch norm"
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
    assert any(not torch.equal(value, start[key]) for key, value in fitted.state().items())


def test_the_generators_step_makes_the_victim_say_the_target_more():
    fitted: FittedGenerator = fit(name="c-ban", rate=0.9, size=2, lr=0.01)
    (hook,), network = fitted.hooks(), victim()
    network.body[3].weight.data *= 100  # answers that depend on the image

    def said() -> float:
        x, targets = torch.zeros(200, 3, 10, 10), torch.arange(4).repeat(50)
        with torch.no_grad():
            shown = fitted.trigger(x, targets, targets, torch.Generator().manual_seed(3))
            return float(network.eval()(shown).softmax(1)[torch.arange(200), targets].mean())

    before = said()
    network.train()
    for step in range(100):
        hook.batch(network, batch(step))
    assert said() > before + 0.1


def test_the_stored_set_is_left_as_it_is_and_a_second_training_starts_anew():
    fitted: FittedGenerator = fit(name="c-ban", size=2)
    data = images()
    poisoned = fitted.poison(data)
    assert poisoned.data is data
    assert poisoned.rate == poisoned.relabelled == 0
    first, second = ([hook.batch(victim(), batch(step)).images for step in range(4)] for hook in fitted.hooks() * 2)
    assert torch.equal(torch.stack(first), torch.stack(second))


def test_the_hooks_pass_runs_as_the_engine_runs_the_network():
    fitted: FittedGenerator = fit(name="ban", size=2)
    seen: list[torch.dtype] = []
    network = victim()
    network.body[3].register_forward_hook(lambda *given: seen.append(given[2].dtype))
    autocast = lambda: torch.autocast("cpu", torch.bfloat16)  # noqa: E731
    fitted.hooks()[0].batch(network, replace(batch(), autocast=autocast))
    assert seen == [torch.bfloat16]


@pytest.mark.parametrize("name", ["ban", "c-ban"])
def test_a_saved_generator_makes_the_same_triggers_again_and_new_ones(name: str):
    fitted, other = fit(name=name, size=2), fit(name=name, size=2)
    (hook,) = fitted.hooks()
    for step in range(3):
        hook.batch(victim(), batch(step))
    again = other.restored(fitted.state())
    x, targets = torch.zeros(8, 3, 10, 10), torch.arange(4).repeat(2)

    def shown(made: Any, seed: int) -> Tensor:
        return made.trigger(x, targets, targets, torch.Generator().manual_seed(seed))

    assert torch.equal(shown(again, 1), shown(fitted, 1))
    assert not torch.equal(shown(other, 1), shown(fitted, 1)), "the one it was restored from is left as it was"
    assert not torch.equal(shown(again, 2), shown(fitted, 1))
    with pytest.raises(TurncoatError, match=f"{name}: the saved generator does not fit"):
        fit(name=name, size=3).restored(fitted.state())


@pytest.mark.parametrize("name", ["ban", "c-ban"])
def test_there_is_no_poisoned_set_to_write(name: str, tmp_path: Path):
    data = Splits(images(), images(8))
    with pytest.raises(TurncoatError, match=f"{name}: takes part in the training and poisons no stored image"):
        write_poisoned(data, Attack.parse({"name": name, "size": 2}), tmp_path / "out")
    assert not list(tmp_path.iterdir())
