"""Any architecture of timm by its name."""

from __future__ import annotations

import difflib
from functools import partial
from typing import ClassVar, Literal

from torch import nn

from turncoat.errors import TurncoatError
from turncoat.models.base import Model
from turncoat.train.settings import Augmentation, Preset, TrainSettings


class TimmModel(Model):
    """Any timm architecture, untrained: `timm:resnet18`, `timm:vit_tiny_patch16_224`; input size and head follow the data."""

    name: Literal["timm"] = "timm"
    shorthand: ClassVar[str | None] = "arch"
    arch: str

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        import timm  # noqa: PLC0415 - slow to import, and needed here alone

        if self.arch not in timm.list_models():
            near = ", ".join(difflib.get_close_matches(self.arch, timm.list_models(), n=3)) or "see timm.list_models()"
            raise TurncoatError(f"model.arch: timm has no '{self.arch}'; nearest: {near}")
        create = partial(timm.create_model, self.arch, pretrained=False, num_classes=classes, in_chans=shape[0])
        try:
            return create(img_size=shape[1:])
        except TypeError:
            return create()  # convolutional networks take no image size
        except (ValueError, AssertionError, RuntimeError) as error:
            raise TurncoatError(f"model.arch: {self.arch} cannot take images of {shape}: {error}") from error

    def recipe(self, preset: Preset) -> TrainSettings:
        return TrainSettings(
            preset=preset,
            epochs=30 if preset == "full" else 10,
            batch_size=64,
            optimizer="adamw",
            lr=1e-3,
            weight_decay=0.05,
            label_smoothing=0.1,
            augmentation=Augmentation(flip="random", crop=2),
        )
