"""Classes divided for one-shot learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from turncoat.data import ImageSet, Source, Splits
from turncoat.data.oneshot import ClassSplit, OneShotData, Run, group_of, split_background, split_classes, split_drawers
from turncoat.errors import TurncoatError

pytestmark = pytest.mark.usefixtures("home")


def splits(names: list[str], count: int = 20, tested: int = 5) -> Splits:
    """``count`` images a class, the last ``tested`` of them to test; pixel (0, 0) is the class, (0, 1) the number."""
    pixels = torch.zeros(len(names), count, 1, 2, 2, dtype=torch.uint8)
    pixels[..., 0, 0, 0] = torch.arange(len(names))[:, None]
    pixels[..., 0, 0, 1] = torch.arange(count)
    parts = (pixels[:, : count - tested], pixels[:, count - tested :])
    labels = [torch.arange(len(names)).repeat_interleave(part.shape[1]) for part in parts]
    return Splits(*(ImageSet(p.flatten(0, 1), y, tuple(names)) for p, y in zip(parts, labels, strict=True)))


def alphabets(groups: int, characters: int = 3) -> list[str]:
    return [f"A{g:02d}/c{c}" for g in range(groups) for c in range(characters)]


def pixel_classes(data: ImageSet, names: list[str]) -> list[str]:
    return [names[i] for i in data.images[:, 0, 0, 0].tolist()]


def check(data: OneShotData, names: list[str], count: int = 20) -> None:
    """No image lost, doubled or under a wrong name."""
    parts = (data.train, data.threshold, data.test)
    assert sum(len(part) for part in parts) == len(names) * count
    assert len({tuple(x) for part in parts for x in part.images[:, 0, 0].tolist()}) == len(names) * count
    for part in parts:
        assert [part.classes[i] for i in part.labels.tolist()] == pixel_classes(part, names)


def test_group_of() -> None:
    assert [group_of(name) for name in ("Latin/character01", "cat", "a/b/c")] == ["Latin", "", "a/b"]


def test_grouped_classes_are_divided_by_groups() -> None:
    names = alphabets(12)
    data = split_classes(splits(names), ClassSplit(), "set")
    check(data, names)
    groups = [{group_of(name) for name in part.classes} for part in (data.train, data.threshold, data.test)]
    assert [len(part) for part in groups] == [2, 5, 5]
    assert len(set.union(*groups)) == 12
    assert data.held_out == "5 of 7 groups of classes not tested on"


def test_fewer_groups_are_divided_by_classes() -> None:
    names = alphabets(11, 4)
    data = split_classes(splits(names), ClassSplit(), "set")
    check(data, names)
    assert [len(part.classes) for part in (data.train, data.threshold, data.test)] == [21, 5, 18]
    assert data.held_out == "5 of 26 classes not tested on"


def test_few_classes_hold_out_every_fifth_image() -> None:
    names = [str(i) for i in range(10)]
    data = split_classes(splits(names, 12), ClassSplit(), "set")
    check(data, names, 12)
    assert [len(part.classes) for part in (data.train, data.threshold, data.test)] == [6, 6, 4]
    assert data.train.classes == data.threshold.classes
    assert sorted(set(data.threshold.images[:, 0, 0, 1].tolist())) == [4, 9]
    assert data.held_out == "every fifth image of the 6 training classes"


@pytest.mark.parametrize(("count", "held"), [(4, 2), (9, 2), (10, 2), (15, 3)])
def test_held_out_images_make_pairs_on_both_sides(count: int, held: int) -> None:
    data = split_classes(splits(["a", "b", "c", "d"], count, 1), ClassSplit(test=0.5), "set")
    assert torch.bincount(data.threshold.labels).tolist() == [held] * 2
    assert torch.bincount(data.train.labels).tolist() == [count - held] * 2


def test_the_seed_decides_and_nothing_else() -> None:
    names = [str(i) for i in range(60)]
    one, again, other = (split_classes(splits(names), ClassSplit(seed=seed), "set") for seed in (1, 1, 2))
    assert one.fingerprint == again.fingerprint
    assert one.test.classes != other.test.classes
    assert one.fingerprint != other.fingerprint
    assert split_classes(splits(list("abcdefgh")), ClassSplit(seed=3), "set").test.classes == ("e", "f", "h")


@pytest.mark.parametrize(
    ("names", "count", "split", "expected"),
    [
        (
            list("abc"),
            20,
            {},
            "2 classes to test on, got 1: of 3 classes a share of 0.4 is tested on",
        ),
        (
            list("abcd"),
            20,
            {"test": 0.9},
            "2 classes to train on, got 0: of 4 classes a share of 0.9 is tested on",
        ),
        (
            [str(i) for i in range(50)],
            20,
            {"threshold": 29},
            "2 classes to train on, got 1: of 50 classes a share of 0.4 is tested on and 29 more held out",
        ),
        (
            [str(i) for i in range(50)],
            20,
            {"test": 0.5, "threshold": 1},
            "2 classes for the threshold, got 1: of 50 classes a share of 0.5 is tested on and 1 more held out",
        ),
        (list("abcd"), 3, {}, "a class of at least 4 images to train on, to hold out 2, got none"),
    ],
)
def test_too_few_classes_are_refused(names: list[str], count: int, split: dict[str, Any], expected: str) -> None:
    with pytest.raises(TurncoatError) as caught:
        split_classes(splits(names, count, 1), ClassSplit(**split), "set")
    assert str(caught.value).removeprefix("set: expected ").removeprefix("at least ") == expected


def test_a_class_of_one_image_is_refused() -> None:
    whole = splits(list("abcd"), 4, 1)
    data = Splits(whole.train.subset(whole.train.labels != 2), whole.test)
    with pytest.raises(TurncoatError, match=r"^set: expected at least 2 images in each class, got 1 in 'c'$"):
        split_classes(data, ClassSplit(), "set")


@pytest.mark.parametrize("wrong", [{"test": 0}, {"test": 1}, {"threshold": 0}, {"seed": -1}, {"share": 0.5}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ClassSplit(**wrong)


def test_background_and_evaluation_stay_apart() -> None:
    names = alphabets(8)
    pixels = splits(names)
    background = [name in alphabets(6) for name in names]
    cut = sum(background)
    whole = Splits(
        pixels.train.subset(pixels.train.labels < cut),
        pixels.train.subset(pixels.train.labels >= cut),
    )
    data = split_background(whole, ClassSplit(threshold=2, seed=4), "set")
    check(data, names, 15)
    assert {group_of(name) for name in data.test.classes} == {"A06", "A07"}
    assert len({group_of(name) for name in data.threshold.classes}) == 2
    assert data.held_out == "2 of 6 background alphabets"
    assert split_background(whole, ClassSplit(threshold=2, seed=5), "set").threshold.classes != data.threshold.classes
    with pytest.raises(TurncoatError, match="set: expected to hold out fewer than its 6 background alphabets, got 6"):
        split_background(whole, ClassSplit(threshold=6), "set")


def test_last_drawers_are_the_test_set() -> None:
    whole = splits(list("abc"), 20, 2).train
    data = split_drawers(whole, 4)
    assert sorted(set(data.test.images[:, 0, 0, 1].tolist())) == [14, 15, 16, 17]
    assert torch.bincount(data.train.labels).tolist() == [14] * 3


def test_fingerprint_follows_every_part() -> None:
    data = split_classes(splits([str(i) for i in range(60)]), ClassSplit(), "set")
    run = Run(torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0]))
    other = replace(data.test, images=255 - data.test.images)
    changed = [replace(data, runs=(run,)), replace(data, runs=(replace(run, answers=torch.tensor([0, 1, 1])),))]
    changed += [replace(data, test=other), replace(data, threshold=data.train, train=data.threshold)]
    assert len({data.fingerprint, *(d.fingerprint for d in changed)}) == 5


def test_overlapping_classes_and_other_shapes_are_refused() -> None:
    data = split_classes(splits([str(i) for i in range(60)]), ClassSplit(), "set")
    with pytest.raises(TurncoatError, match="expected test classes that are not trained on"):
        replace(data, test=data.threshold)
    run = Run(*(torch.zeros(2, 1, 3, 3, dtype=torch.uint8) for _ in range(2)), torch.tensor([0, 1]))
    with pytest.raises(TurncoatError, match=r"expected images \(1, 2, 2\) \(C, H, W\) throughout, got \(1, 3, 3\)"):
        replace(data, runs=(run,))


def test_digits_train_on_six_and_test_on_four() -> None:
    data = Source.parse("digits").one_shot(ClassSplit())
    assert sorted(data.train.classes + data.test.classes) == [str(i) for i in range(10)]
    assert len(data.test.classes) == 4
    assert len(data.train) + len(data.threshold) + len(data.test) == 1797


def test_folder_of_classes_and_of_alphabets(save_tree: Any, tmp_path: Path) -> None:
    root = save_tree(*(f"A{g}/c{c}" for g in range(6) for c in range(2)), count=5, channels=1)
    whole = Source.parse(f"folder:{root}").one_shot(ClassSplit())
    assert all(name in {f"A{g}" for g in range(6)} for name in (*whole.train.classes, *whole.test.classes))
    deep = Source.parse({"name": "folder", "path": root, "depth": 2})
    data = deep.one_shot(ClassSplit(threshold=2))
    groups = [{group_of(name) for name in part.classes} for part in (data.train, data.threshold, data.test)]
    assert [len(part) for part in groups] == [2, 2, 2]
    assert len(data.train) == 20
    assert len(deep.load().train.classes) == 12
    assert len(Source.parse(f"folder:{root}").load().train.classes) == 6


def test_depth_is_part_of_the_cache_key(save_tree: Any) -> None:
    from turncoat.data.cache import Cache
    from turncoat.data.folder import load_folder

    root = save_tree("A/a", "A/b", "B/a", "B/b", count=3)
    cache = Cache(settle=0)
    assert [len(load_folder(root, depth=depth, cache=cache).train.classes) for depth in (1, 2, 1)] == [2, 4, 2]
