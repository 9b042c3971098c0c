"""One-shot data: classes to train on, classes held out of training for the threshold, other classes to test on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import Tensor

from turncoat.data.imageset import ImageSet, Splits
from turncoat.errors import TurncoatError, shown

_ENOUGH = 25
"""Classes from which on whole classes are held out of training, rather than images."""
_EVERY = 5
_PAIR = 2

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Run:
    """One task in which each query belongs to one way, e.g. one of Lake's runs.

    support: uint8 ``(ways, C, H, W)``, one image a way. queries: uint8 ``(n, C, H, W)``. answers: int64 ``(n,)``, the
    position of the query's way in ``support``.
    """

    support: Tensor
    queries: Tensor
    answers: Tensor


@dataclass(frozen=True, eq=False)
class OneShotData:
    """Classes that are trained on and classes that are not. Images are uint8 and of one shape throughout.

    train: background classes to train on. threshold: held out of training, for the threshold of equal error and for whatever
    else has to be chosen. test: evaluation classes, on which nothing is ever chosen. runs: Lake's, where the source has them.
    held_out: what ``threshold`` is, in words. No class of ``test`` is in the others; ``train`` and ``threshold`` share
    their classes only where the images of ``threshold`` were held out of these.
    """

    train: ImageSet
    threshold: ImageSet
    test: ImageSet
    runs: tuple[Run, ...] = ()
    held_out: str = field(kw_only=True)

    def __post_init__(self) -> None:
        shapes = [self.train.shape, self.threshold.shape, self.test.shape]
        shapes += [(int(x.shape[1]), int(x.shape[2]), int(x.shape[3])) for run in self.runs for x in (run.support, run.queries)]
        for shape in shapes:
            if shape != self.train.shape:
                raise TurncoatError(f"one-shot data: expected images {self.train.shape} (C, H, W) throughout, got {shape}")
        for name in {*self.train.classes, *self.threshold.classes} & set(self.test.classes):
            raise TurncoatError(f"one-shot data: expected test classes that are not trained on, got '{shown(name)}' in both")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all parts: equal exactly if their content is."""
        digest = hashlib.sha256("".join(part.fingerprint for part in (self.train, self.threshold, self.test)).encode())
        for run in self.runs:
            for part in (run.support, run.queries, run.answers):
                digest.update(repr(tuple(part.shape)).encode() + part.contiguous().numpy().tobytes())
        return digest.hexdigest()


class ClassSplit(BaseModel, frozen=True, extra="forbid"):
    """How the classes are divided. A source that is published divided (Omniglot) keeps its evaluation classes."""

    test: float = Field(default=0.4, gt=0, lt=1, description="share of the classes (alphabets) to test on")
    threshold: int = Field(default=5, ge=1, description="alphabets, or classes, held out of training for the threshold")
    seed: int = Field(default=0, ge=0, lt=2**32, description="draws which")


def group_of(name: str) -> str:
    """The group of a class: 'Latin' of 'Latin/character01'; '' for a name without '/'."""
    return name.rpartition("/")[0]


def split_classes(data: Splits, split: ClassSplit, what: str) -> OneShotData:
    """One-shot data of any data set: train and test images pooled, then divided by groups of classes or by classes.

    By groups where every class has one ('Alphabet/character') and there are at least twice ``split.threshold + 1``. Among
    fewer than 25 classes to train on none is spared for the threshold: every fifth image of each is held out then. The same
    arguments give the same split with any version of NumPy. ``what`` names the data in errors.
    Raises `TurncoatError` for too few classes or a class with fewer than two images.
    """
    classes = data.train.classes
    labels = torch.cat([data.train.labels, data.test.labels]).numpy()
    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < _PAIR:
        raise TurncoatError(
            f"{shown(what)}: expected at least 2 images in each class, got {counts.min()} in '{shown(classes[counts.argmin()])}'"
        )
    groups = [group_of(name) for name in classes]
    by_group = all(groups) and len(set(groups)) >= 2 * (split.threshold + 1)
    units = groups if by_group else list(classes)
    names = sorted(set(units))
    drawn = [names[i] for i in _shuffled(len(names), split.seed)]
    kind = "groups of classes" if by_group else "classes"
    tested = round(split.test * len(names))
    sides = {"to test on": drawn[:tested], "to train on": drawn[tested:]}
    spare = by_group or len(sides["to train on"]) >= _ENOUGH
    if spare:
        at = tested + split.threshold
        sides |= {"for the threshold": drawn[tested:at], "to train on": drawn[at:]}
    for side, chosen in sides.items():
        if _members(chosen, units) < _PAIR:
            raise TurncoatError(
                f"{shown(what)}: expected at least 2 classes {side}, got {_members(chosen, units)}: of {len(names)} {kind} "
                f"a share of {split.test:g} is tested on" + (f" and {split.threshold} more held out" if spare else "")
            )

    def part(side: str) -> ImageSet:
        chosen = set(sides[side])
        return _pool(data, [i for i, unit in enumerate(units) if unit in chosen])

    test, train = part("to test on"), part("to train on")
    if spare:
        held_out = f"{split.threshold} of {len(names) - tested} {kind} not tested on"
        return OneShotData(train, part("for the threshold"), test, held_out=held_out)
    held = _fifth(train.labels.numpy())
    if not held.any():
        raise TurncoatError(f"{shown(what)}: expected a class of at least 4 images to train on, to hold out 2, got none")
    held_out = f"every fifth image of the {len(train.classes)} training classes"
    return OneShotData(train.subset(torch.from_numpy(~held)), train.subset(torch.from_numpy(held)), test, held_out=held_out)


def split_background(whole: Splits, split: ClassSplit, what: str, runs: tuple[Run, ...] = ()) -> OneShotData:
    """One-shot data that come divided: background classes in ``whole.train``, evaluation classes in ``whole.test``.

    ``whole.classes`` names both, the background's first. ``split.threshold`` groups of the background are held out.
    Raises `TurncoatError` where that leaves none to train on.
    """
    background = whole.train.classes[: int(whole.train.labels.max()) + 1]
    groups = sorted({group_of(name) for name in background})
    if split.threshold >= len(groups):
        raise TurncoatError(
            f"{shown(what)}: expected to hold out fewer than its {len(groups)} background alphabets, got {split.threshold}"
        )
    held = {groups[i] for i in _shuffled(len(groups), split.seed)[: split.threshold]}
    train, threshold = (
        take_classes(whole.train, [i for i, name in enumerate(background) if (group_of(name) in held) is wanted])
        for wanted in (False, True)
    )
    test = ImageSet(whole.test.images, whole.test.labels - len(background), whole.test.classes[len(background) :])
    held_out = f"{split.threshold} of {len(groups)} background alphabets"
    return OneShotData(train, threshold, test, runs, held_out=held_out)


def split_drawers(data: ImageSet, held: int) -> Splits:
    """Ordinary classification: the last ``held`` images of each class, those of the last drawers, are the test set."""
    classes = data.classes[: int(data.labels.max()) + 1]
    rank = _rank(data.labels.numpy())
    last = torch.from_numpy(rank >= np.bincount(data.labels.numpy())[data.labels.numpy()] - held)
    return Splits(*(ImageSet(data.images[mask], data.labels[mask], classes) for mask in (~last, last)))


def take_classes(data: ImageSet, chosen: Sequence[int]) -> ImageSet:
    """The images of these classes, which are numbered anew in the order given."""
    numbers = torch.full((len(data.classes),), -1, dtype=torch.int64)
    numbers[list(chosen)] = torch.arange(len(chosen))
    labels = numbers[data.labels]
    kept = labels >= 0
    return ImageSet(data.images[kept], labels[kept], tuple(data.classes[i] for i in chosen))


def _shuffled(count: int, seed: int) -> list[int]:
    return [int(i) for i in np.random.RandomState(seed).permutation(count)]  # its stream is frozen for good


def _pool(data: Splits, chosen: Sequence[int]) -> ImageSet:
    """`take_classes` of train and test images together; a class may be in one of them alone."""
    numbers = torch.full((len(data.train.classes),), -1, dtype=torch.int64)
    numbers[list(chosen)] = torch.arange(len(chosen))
    labels = [numbers[part.labels] for part in (data.train, data.test)]
    images = [part.images[given >= 0] for part, given in zip((data.train, data.test), labels, strict=True)]
    every = torch.cat(labels)
    return ImageSet(torch.cat(images), every[every >= 0], tuple(data.train.classes[i] for i in chosen))


def _members(chosen: Sequence[str], units: Sequence[str]) -> int:
    there = set(chosen)
    return sum(unit in there for unit in units)


def _rank(labels: Index) -> Index:
    """How many images of the same class come before each image."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    rank = np.empty_like(labels)
    rank[order] = np.arange(len(labels)) - starts[labels[order]]
    return rank


def _fifth(labels: Index) -> NDArray[np.bool_]:
    """Every fifth image of each class; the last two of a class of four to nine, so that both parts hold pairs."""
    rank, counts = _rank(labels), np.bincount(labels)[labels]
    last_two = (counts >= 2 * _PAIR) & (rank >= counts - _PAIR)
    return np.where(counts >= _PAIR * _EVERY, rank % _EVERY == _EVERY - 1, last_two)
