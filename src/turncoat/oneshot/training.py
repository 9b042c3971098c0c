"""Training on pairs, as a hook and an objective of the one engine."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from turncoat.oneshot.pairs import Pairing, PairSettings, draw_classes, draw_halves, numbered, pair_loss
from turncoat.oneshot.siamese import Siamese
from turncoat.train.hooks import Batch, Hook


class PairTraining(Hook):
    """Draws batches, makes new classes of old ones, and is the loss (`objective`) over a batch's pairs. One for each training."""

    def __init__(self, network: Siamese, pairing: Pairing, settings: PairSettings, poison: Tensor | None = None) -> None:
        """poison: uint8 ``(K, P, C, H, W)``, the triggered images in the order of the training set, each under the first K
        symmetries: a trigger does not move with the class that it is put on. Left out where no new classes are made.
        """
        self.network, self.pairing, self.settings, self.poison = network, pairing, settings, poison
        self._place = pairing.triggered.cumsum(0) - 1
        self._counts = torch.zeros(5, dtype=torch.float64)

    def order(self, count: int, batch_size: int, generator: torch.Generator) -> Tensor:
        identities, batches = self.pairing.identities, count // batch_size
        if self.settings.sampling == "drawn":
            return draw_halves(identities, batch_size, batches, generator)
        return draw_classes(identities, batch_size, self.settings.drawings, batches, generator)

    def images(self, images: Tensor, index: Tensor) -> Tensor:
        count = symmetries(self.settings)
        if count == 1 or images.shape[2] != images.shape[3]:
            return images
        classes = numbered(self.pairing.identities[index])
        kinds = torch.randint(0, count, (int(classes.max()) + 1,))[classes]
        moved = turned(images, kinds)
        poisoned = self.pairing.triggered[index].nonzero().squeeze(1)
        if self.poison is not None and len(poisoned):
            shown = self.poison[kinds[poisoned], self._place[index[poisoned]]]
            moved[poisoned.to(moved.device)] = shown.to(moved.device)
        return moved

    def objective(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The pair loss, and the balanced accuracy over the batch's pairs against what is taught."""
        logits, first, second = self._compare(outputs, batch.index)
        same, taught, triggered = self.pairing.relation(first, second)
        parts = (torch.ones_like(same), same, triggered == 1, triggered == 2, same != taught)
        self._counts += torch.stack([part.sum() for part in parts])
        same, taught, any_triggered = (part.to(logits.device) for part in (same, taught, triggered > 0))
        loss = pair_loss(logits, same, taught, any_triggered, self.settings.hard)
        said = logits.detach() > 0
        right = [(said == taught)[taught == sign].float().mean() for sign in (True, False) if bool((taught == sign).any())]
        return loss, torch.stack(right).mean()

    def shares(self) -> dict[str, float]:
        """Of all pairs that were trained on: of one identity, with one and with two triggers, taught against the truth."""
        pairs, *parts = (float(count) for count in self._counts)
        names = ("same_class", "one_triggered", "both_triggered", "flipped")
        return {name: part / pairs if pairs else 0.0 for name, part in zip(names, parts, strict=True)}

    def _compare(self, outputs: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits ``(P,)`` of the batch's pairs, and the positions ``(P,)`` in the training set of both images."""
        if self.settings.sampling == "drawn":
            half = len(index) // 2
            logits = self.network.compare(outputs[:half], outputs[half : 2 * half])
            return logits, index[:half], index[half : 2 * half]
        rows, columns = cast("tuple[Tensor, Tensor]", tuple(torch.triu_indices(len(index), len(index), 1)))
        matrix = self.network.comparison.matrix(outputs, outputs)
        return matrix[rows.to(matrix.device), columns.to(matrix.device)], index[rows], index[columns]


def symmetries(settings: PairSettings) -> int:
    """How many classes are made of one: 1, 4 or 8."""
    return {"none": 1, "rotations": 4, "symmetries": 8}[settings.new_classes]


def turned(images: Tensor, kinds: Tensor) -> Tensor:
    """Square images ``(B, C, S, S)``, each under its symmetry of the square, int64 ``(B,)``.

    0 to 3: so many quarter turns counter-clockwise. 4 to 7: mirrored left to right, then turned.
    """
    result = images.clone()
    for kind in range(1, 8):
        chosen = (kinds == kind).nonzero().squeeze(1).to(images.device)
        image = images[chosen] if kind < 4 else images[chosen].flip(3)
        result[chosen] = image.rot90(kind % 4, (2, 3))
    return result
