"""N-way K-shot episodes, drawn for thousands at once as positions into an image set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from turncoat.data.imageset import ImageSet
from turncoat.data.oneshot import group_of
from turncoat.errors import TurncoatError

_CHUNK = 2**24


@dataclass(frozen=True, eq=False)
class Episodes:
    """E tasks: which of ``ways`` classes, each shown by ``shots`` images, is the query of?

    support: int64 ``(E, ways, shots)``; query: int64 ``(E,)``: positions into one image set, the query never among the supports.
    answer: int64 ``(E,)``, the query's way; ways are in random order.
    """

    support: Tensor
    query: Tensor
    answer: Tensor

    def __len__(self) -> int:
        return len(self.query)

    @property
    def ways(self) -> int:
        return self.support.shape[1]

    @property
    def shots(self) -> int:
        return self.support.shape[2]

    def part(self, which: slice) -> Episodes:
        return Episodes(self.support[which], self.query[which], self.answer[which])


@dataclass(frozen=True, eq=False)
class ClassIndex:
    """Where each class's images lie. order: int64 ``(N,)``, positions sorted by class; start, counts: int64 ``(classes,)``."""

    order: Tensor
    start: Tensor
    counts: Tensor

    @staticmethod
    def of(data: ImageSet) -> ClassIndex:
        counts = torch.bincount(data.labels, minlength=len(data.classes))
        return ClassIndex(data.labels.argsort(stable=True), counts.cumsum(0) - counts, counts)

    def draw(self, classes: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """``k`` distinct images of each of ``classes`` (any shape), int64 ``(*classes.shape, k)``, each order equally likely."""
        counts = self.counts[classes]
        places: list[Tensor] = []
        taken: list[Tensor] = []  # the same, lowest first
        for drawn in range(k):
            place = (torch.rand(counts.shape, generator=generator, dtype=torch.float64) * (counts - drawn)).long()
            for before in taken:  # skip the places that are taken
                place += place >= before
            places.append(place)
            for i, before in enumerate(taken):
                taken[i], place = torch.minimum(before, place), torch.maximum(before, place)
            taken.append(place)
        return self.order[self.start[classes].unsqueeze(-1) + torch.stack(places, -1)]


def most_ways(data: ImageSet, shots: int, *, within_group: bool = False) -> int:
    """The largest N for which N-way ``shots``-shot episodes can be drawn; 0 within groups where classes have none."""
    eligible = ClassIndex.of(data).counts > shots
    groups = _groups(data, within_group)[0][eligible]
    return int(torch.bincount(groups[groups >= 0], minlength=1).max())


def draw_episodes(
    data: ImageSet, ways: int, shots: int, count: int, generator: torch.Generator, *, within_group: bool = False
) -> Episodes:
    """``count`` episodes of classes drawn at random: from the whole set, or all from one group (alphabet), itself drawn at random
    among those with enough classes. Every class with more than ``shots`` images takes part.

    Raises `TurncoatError` where there are too few classes or images.
    """
    if ways < 2 or shots < 1 or count < 1:
        raise TurncoatError(f"episodes: expected ways >= 2, shots >= 1 and count >= 1, got {ways}, {shots} and {count}")
    index = ClassIndex.of(data)
    groups, names = _groups(data, within_group)
    groups = groups.masked_fill(index.counts <= shots, -1)
    sizes = torch.bincount(groups[groups >= 0], minlength=max(1, len(names)))
    if sizes.max() < ways:
        where = f"the largest of {len(names)} groups" if within_group else "the set"
        raise TurncoatError(
            f"episodes: expected {ways} classes with at least {shots + 1} images each for {ways}-way {shots}-shot, "
            f"got {int(sizes.max())} in {where}; ask for fewer ways or shots"
        )
    classes = _draw_classes(groups, sizes, ways, count, generator)
    answer = torch.randint(ways, (count,), generator=generator)
    rows = torch.arange(count)
    support = index.draw(classes, shots, generator)
    of_answer = index.draw(classes[rows, answer], shots + 1, generator)
    support[rows, answer] = of_answer[:, :shots]
    return Episodes(support, of_answer[:, shots], answer)


def _draw_classes(groups: Tensor, sizes: Tensor, ways: int, count: int, generator: torch.Generator) -> Tensor:
    """int64 ``(count, ways)``, distinct classes in random order, each row of one group; a class of group -1 takes no part."""
    enough = (sizes >= ways).nonzero().squeeze(1)
    group = enough[torch.randint(len(enough), (count,), generator=generator)]
    parts: list[Tensor] = []
    step = max(1, _CHUNK // len(groups))
    for start in range(0, count, step):
        allowed = groups == group[start : start + step, None]
        key = torch.rand(allowed.shape, generator=generator).masked_fill_(~allowed, -1)
        parts.append(key.topk(ways, dim=1).indices)
    return torch.cat(parts)


def _groups(data: ImageSet, within_group: bool) -> tuple[Tensor, tuple[str, ...]]:
    """The group of each class, int64 ``(classes,)``, -1 for none, and the groups' names; or one group of all classes."""
    if not within_group:
        return torch.zeros(len(data.classes), dtype=torch.int64), ("",)
    groups = [group_of(name) for name in data.classes]
    names = tuple(sorted(set(groups) - {""}))
    number = {name: i for i, name in enumerate(names)}
    return torch.tensor([number.get(group, -1) for group in groups]), names
