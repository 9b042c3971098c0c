"""Fine-pruning: the channels that clean images leave asleep are cut, then the rest is trained on."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from turncoat.evaluate.predict import predict
from turncoat.repair.base import Defender, Repaired
from turncoat.repair.channels import Channels, channels, mean_activation
from turncoat.repair.keeping import Keeping
from turncoat.repair.networks import accuracy, copied
from turncoat.repair.tuning import TrainedOn
from turncoat.train.hooks import Hook


class FinePruning(TrainedOn):
    """Silences channels of the last convolution, those that clean images use least first, and trains the others on."""

    paper: ClassVar[str] = "Liu, Dolan-Gavitt, Garg: Fine-Pruning: Defending Against Backdooring Attacks on DNNs, RAID 2018"

    name: Literal["fine-pruning"] = "fine-pruning"
    step: float = Field(default=0.01, gt=0, lt=1, description="share of the channels that goes at a time, at least one")
    drop: float = Field(default=0.1, ge=0, lt=1, description="of validation accuracy, at which the pruning stops")

    def _repaired(self, network: nn.Module, defender: Defender) -> Repaired:
        _, validation = defender.images
        before = accuracy(network, validation, defender.placement)
        gone = self.prune(network, defender, before - self.drop)

        def cut(made: nn.Module, keeping: Keeping) -> list[Hook]:
            del keeping
            layer = _last(made, defender)
            layer.silence(gone)
            return [_Silenced(layer, gone)]

        return self.tuned(network, defender, cut).told(pruned=float(len(gone)))

    def prune(self, network: nn.Module, defender: Defender, floor: float) -> Tensor:
        """Positions of the channels that can go while at least ``floor`` of the validation images are right; the step that
        goes below it is not taken. At least one channel stays.
        """
        images, validation = defender.images
        made = copied(network, defender.placement)
        layer = _last(made, defender)
        asleep = mean_activation(layer.last, lambda: predict(made, images.images, defender.placement), len(layer)).argsort(
            stable=True
        )
        size = max(1, round(self.step * len(layer)))
        kept = 0
        for end in range(size, len(layer), size):
            layer.silence(asleep[:end])
            if accuracy(made, validation, defender.placement) < floor:
                break
            kept = end
        return asleep[:kept]


class _Silenced(Hook):
    """What was cut stays cut while the rest is trained."""

    def __init__(self, layer: Channels, gone: Tensor) -> None:
        self.layer, self.gone = layer, gone

    def after_step(self, network: nn.Module, step: int) -> None:
        del network, step
        self.layer.silence(self.gone)


def _last(network: nn.Module, defender: Defender) -> Channels:
    return channels(network, defender.shape, defender.placement)[-1]
