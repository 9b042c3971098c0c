"""`Evidence`: what a data detector may look at: the data set, and what a model makes of it, worked out once for all methods."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from turncoat.data.imageset import ImageSet
from turncoat.detect.data.contamination import strangers
from turncoat.detect.data.content import content_keys, halves
from turncoat.detect.data.doubt import label_doubt
from turncoat.detect.data.surrogate import Trained, shrink, train_surrogate
from turncoat.progress import Progress, silent
from turncoat.train.layers import Watch
from turncoat.train.memory import tune_allocator
from turncoat.train.placement import Placement, split, to_device
from turncoat.triggers.base import to_float

_SAMPLE = 4000
_COARSE = 18
"""Side in pixels, the least that the quick network takes."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """data: what is audited. given: a network from float ``(N, C, H, W)`` in [0, 1] to logits; None: one is trained on this data.

    What is asked for is worked out then; row i of each tensor, all on the CPU, is of sample i. seconds: what that took, by name.
    """

    data: ImageSet
    given: nn.Module | None
    placement: Placement
    seed: int
    progress: Progress = silent
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    believed: Tensor | None = None
    """int64 ``(N,)``: labels to train the networks on that judge labels; None: those of the data."""

    def believing(self, labels: Tensor) -> Evidence:
        """The same with other `believed` labels: what false labels taught these networks is not held against the data twice."""
        return replace(self, believed=labels)

    @property
    def classes(self) -> int:
        """How many."""
        return len(self.data.classes)

    @cached_property
    def small(self) -> ImageSet:
        """The data with sides of at most 32 pixels."""
        return shrink(self.data)

    @cached_property
    def sample(self) -> Tensor:
        """int64: the positions of up to 4,000 samples, chosen by content."""
        return content_keys(self.data.images, self.seed).argsort()[:_SAMPLE]

    @cached_property
    def half(self) -> Tensor:
        """bool ``(N,)``: about half of each class, by content; what is learnt from one half is asked of the other."""
        return halves(self.data, self.seed)

    @cached_property
    def _trained(self) -> Trained:
        with self._timed("training"):
            return train_surrogate(self.data, self.placement, self.seed, self.progress)

    @property
    def network(self) -> nn.Module:
        """The one given, else one trained on this very data, poison and all."""
        return self._trained.network if self.given is None else self.given

    @cached_property
    def _seen(self) -> tuple[Tensor, Tensor]:
        network = self.network
        with self._timed("features"):
            return look(network, self.data.images, self.placement, self.progress)

    @property
    def features(self) -> Tensor:
        """float32 ``(N, D)``: what the network's last linear layer is given."""
        return self._seen[0]

    @property
    def logits(self) -> Tensor:
        """float32 ``(N, classes)`` of the network."""
        return self._seen[1]

    @cached_property
    def _crossed(self) -> tuple[Sequence[Trained], Tensor, Tensor]:
        """Two networks, each trained on a half; features and logits of each sample by the one that never saw it.

        They see coarse images: what a class is like remains, faint triggers do not, so that false labels are not believed.
        """
        trained, features, logits = list[Trained](), torch.empty(0), torch.empty(0)
        coarse = shrink(self.data if self.believed is None else self.data.with_labels(self.believed), _COARSE)
        with self._timed("cross-training" if self.believed is None else "cross-training again"):
            for own in (self.half, ~self.half):
                one = train_surrogate(coarse.subset(own), self.placement, self.seed, self.progress)
                found = look(one.network, coarse.images[~own], self.placement, self.progress)
                if not len(features):
                    features, logits = (part.new_empty(len(self.data), part.shape[1]) for part in found)
                features[~own], logits[~own] = found
                trained.append(one)
        return trained, features, logits

    @contextmanager
    def _timed(self, what: str) -> Generator[None]:
        started = time.perf_counter()
        yield
        self.seconds[what] = time.perf_counter() - started

    @property
    def held_out_logits(self) -> Tensor:
        """float32 ``(N, classes)``: by a network that was trained on the other half of the data."""
        return self._crossed[2]

    @property
    def crossed(self) -> bool:
        """Whether networks have been trained on the halves already."""
        return "_crossed" in self.__dict__

    @property
    def held_out(self) -> Tensor:
        """float32 ``(N, classes)``: `held_out_logits` as probabilities."""
        return self.held_out_logits.softmax(1)

    @cached_property
    def doubt(self) -> Tensor:
        """float64 ``(N,)``: the chance that a sample's label is wrong, by `held_out_logits`."""
        return label_doubt(self.held_out_logits, self.data.labels)[0]

    def strange(self, label: int) -> Tensor:
        """float64 ``(N,)``: the chance that a sample is one of the `strangers` in this class, by `held_out_features`."""
        found = torch.zeros(len(self.data), dtype=torch.float64)
        for half in (self.half, ~self.half):
            found[half] = strangers(self.held_out_features[half], self.data.labels[half], label, self.doubt[half])
        return found

    @property
    def held_out_features(self) -> Tensor:
        """float32 ``(N, D)`` by a network that was trained on the other half: each half has an embedding of its own."""
        return self._crossed[1]

    @cached_property
    def losses(self) -> Tensor:
        """float32 ``(N, epochs)``: each sample's loss at each epoch of a training on it, less that of its batch's median."""
        if self.given is None:
            return self._trained.losses
        first, second = self._crossed[0]
        epochs = min(first.losses.shape[1], second.losses.shape[1])
        losses = torch.empty(len(self.data), epochs)
        losses[self.half], losses[~self.half] = first.losses[:, :epochs], second.losses[:, :epochs]
        return losses


def look(
    network: nn.Module, images: Tensor, placement: Placement, progress: Progress = silent, batch_size: int = 512
) -> tuple[Tensor, Tensor]:
    """Penultimate features float32 ``(N, D)`` and logits ``(N, classes)`` on the CPU, of uint8 images; the mode is kept."""
    tune_allocator()
    to_device(network, placement)
    training = network.training
    network.eval()
    features, logits = list[Tensor](), list[Tensor]()
    with torch.inference_mode(), placement.autocast():
        watch = Watch(network, "penultimate")
        for batch in split(images, batch_size):
            watch.arm()
            x = to_float(batch.to(placement.device)).contiguous(memory_format=torch.channels_last)
            logits.append(network(x).float().cpu())
            features.append(watch.taken()[0].cpu())
            progress("looking", sum(map(len, logits)), len(images))
    network.train(training)
    return torch.cat(features), torch.cat(logits)
