"""The control of an attack that falsifies labels alone: as many wrong labels, at random."""

from __future__ import annotations

import torch

from turncoat.attacks.base import Poisoned


def random_labels(poisoned: Poisoned, generator: torch.Generator) -> Poisoned:
    """The same images with the same false labels, given to others of the same true classes: each class keeps its numbers.

    So nothing is left to learn but the wrong labels' share of each class. Same generator state, same labels.
    """
    true, given = poisoned.true_labels, poisoned.data.labels.clone()
    for label in range(len(poisoned.data.classes)):
        rows = (true == label).nonzero().squeeze(1)
        given[rows] = given[rows[torch.randperm(len(rows), generator=generator)]]
    return Poisoned(poisoned.data.with_labels(given), true, given != true, torch.zeros_like(poisoned.cover))
