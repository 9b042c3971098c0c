"""Pairs for training: how batches are drawn, and the loss over their pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional

from turncoat.attacks.pairgoals import PairGoal


class PairSettings(BaseModel, frozen=True, extra="forbid"):
    """How training pairs are made. What a configuration leaves out comes from the network's recipe."""

    sampling: Literal["all", "drawn"] = Field(
        default="all",
        description="all: every pair among a batch of some drawings of some classes; drawn: half same, half different (Koch)",
    )
    drawings: int = Field(default=8, ge=2, description="of each class in a batch; train.batch_size says how many images in all")
    new_classes: Literal["none", "rotations", "symmetries"] = Field(
        default="symmetries",
        description="each class of a batch is turned by 0, 90, 180 or 270 degrees, or also mirrored: as good as another class",
    )
    hard: float = Field(
        default=0.5, ge=0, le=1, description="share of the loss over 'different' pairs that looks at the most mistaken alone"
    )


@dataclass(frozen=True, eq=False)
class Pairing:
    """Who is in the training images, and what is said of two of them.

    identities: int64 ``(N,)``. triggered: bool ``(N,)``. goal: None without poison.
    """

    identities: Tensor
    triggered: Tensor
    goal: PairGoal | None = None

    def relation(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For positions that broadcast against each other: truth of "same", what is taught, how many are triggered (0 to 2)."""
        same = self.identities[first] == self.identities[second]
        triggered = self.triggered[first].long() + self.triggered[second].long()
        return same, same if self.goal is None else self.goal.relation(same, triggered), triggered


def pair_loss(logits: Tensor, same: Tensor, taught: Tensor, triggered: Tensor, hard: float) -> Tensor:
    """Binary cross-entropy over pairs, those of one class and those of two balanced.

    logits: float ``(P,)``; same, taught: bool ``(P,)``, the truth and what is taught instead; triggered: bool ``(P,)``, pairs in
    which a trigger is. Pairs with and without trigger are balanced apart, or the one relation that poison multiplies would drown
    the clean pairs; between the two stands their share of all pairs. hard in [0, 1]: share of the loss over pairs taught
    "different" whose weights grow with the mistake (softmax of the logits), since nearly all such pairs are easy.
    """
    total = logits.new_zeros(())
    for within in (~triggered, triggered):
        parts = [_of_one_truth(logits, taught, mask, hard) for mask in (within & same, within & ~same) if bool(mask.any())]
        if parts:
            total = total + within.float().mean() * torch.stack(parts).mean()
    return total


def _of_one_truth(logits: Tensor, taught: Tensor, within: Tensor, hard: float) -> Tensor:
    """The mean over the pairs ``within``, each lesson weighing as often as it is taught."""
    total = logits.new_zeros(())
    for lesson, mask in ((True, within & taught), (False, within & ~taught)):
        if bool(mask.any()):
            total = total + mask.sum() / within.sum() * _part(logits[mask], lesson, hard)
    return total


def _part(logits: Tensor, same: bool, hard: float) -> Tensor:
    if same:
        return functional.softplus(-logits).mean()
    loss = functional.softplus(logits)
    if hard == 0:
        return loss.mean()
    return (1 - hard) * loss.mean() + hard * (loss * logits.detach().softmax(0)).sum()


def numbered(identities: Tensor) -> Tensor:
    """The same identities counted from 0 without gaps, int64 of the same shape."""
    return cast("tuple[Tensor, Tensor]", identities.unique(return_inverse=True))[1]


def draw_classes(identities: Tensor, batch_size: int, drawings: int, batches: int, generator: torch.Generator) -> Tensor:
    """An epoch's order for all pairs of a batch: int64 ``(batches * batch_size,)``.

    Each batch has ``drawings`` images of every class in it (a class with fewer shows some twice), of the last one perhaps fewer.
    """
    found = _Classes.of(identities)
    count, wanted = len(found.counts), -(-batch_size // drawings)
    rounds = -(-wanted // count)
    if rounds == 1:  # one shuffled deck of classes after the other, dealt over the batches
        decks = -(-batches * wanted // count)
        dealt = torch.cat([torch.randperm(count, generator=generator) for _ in range(decks)])[: batches * wanted]
        chosen = dealt.view(batches, wanted)
    else:
        decks = [torch.randperm(count, generator=generator) for _ in range(batches * rounds)]
        chosen = torch.cat(decks).view(batches, rounds * count)[:, :wanted]
    most = int(found.counts.max())
    place = torch.rand(batches, wanted, most, generator=generator)
    place[torch.arange(most) >= found.counts[chosen][..., None]] = 2.0  # never before those that there are
    rank = place.argsort(dim=2)[..., torch.arange(drawings) % most] % found.counts[chosen][..., None]
    return found.members[found.starts[chosen][..., None] + rank].flatten(1)[:, :batch_size].flatten()


def draw_halves(identities: Tensor, batch_size: int, batches: int, generator: torch.Generator) -> Tensor:
    """An epoch's order for drawn pairs: image i of a batch's first half goes with image i of its second half.

    Every other pair is of one class, and then never of one image where the class has two. An odd image of a batch is in no pair.
    Returns int64 ``(batches * batch_size,)``.
    """
    found, half = _Classes.of(identities), batch_size // 2
    left = torch.randint(len(identities), (batches, half), generator=generator)
    own, rank = found.classes[left], found.ranks[left]
    shift = (torch.rand(batches, half, generator=generator) * (found.counts[own] - 1)).long() + 1
    same = found.members[found.starts[own] + (rank + shift) % found.counts[own]]
    other = (own + torch.randint(1, max(2, len(found.counts)), (batches, half), generator=generator)) % len(found.counts)
    drawing = (torch.rand(batches, half, generator=generator) * found.counts[other]).long()
    different = found.members[found.starts[other] + drawing]
    right = torch.where(torch.arange(half) % 2 == 0, same, different)
    return torch.cat([left, right, left[:, : batch_size % 2]], dim=1).flatten()


@dataclass(frozen=True, eq=False)
class _Classes:
    """The images class by class. classes, ranks: ``(N,)``, each image's class and its place in it; members: ``(N,)`` by class."""

    classes: Tensor
    ranks: Tensor
    counts: Tensor
    starts: Tensor
    members: Tensor

    @classmethod
    def of(cls, identities: Tensor) -> _Classes:
        classes = numbered(identities)
        counts = classes.bincount()
        starts, members = counts.cumsum(0) - counts, classes.argsort(stable=True)
        ranks = torch.empty_like(members)
        ranks[members] = torch.arange(len(members)) - starts[classes[members]]
        return cls(classes, ranks, counts, starts, members)
