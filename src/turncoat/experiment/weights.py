"""Networks as safetensors: weights and the architecture's name, nothing that could run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_model  # pyright: ignore[reportUnknownVariableType]
from torch import nn

from turncoat.data.imageset import ImageSet
from turncoat.errors import TurncoatError
from turncoat.models.base import Model, Normalised


def save_network(network: nn.Module, model: Model, data: ImageSet, path: Path) -> None:
    """Write the weights, with the model's settings, image shape and class names as metadata."""
    arch = {"model": model.model_dump(mode="json"), "shape": data.shape, "classes": data.classes}
    save_model(network, str(path), metadata={"format": "pt", "turncoat": json.dumps(arch)})
    path.chmod(0o644)  # safetensors leaves it readable to its writer alone


def load_network(path: Path, allow_factory: bool = False) -> tuple[Normalised, tuple[str, ...]]:
    """The network in a file that `save_network` wrote, in eval mode on the CPU, and its class names.

    allow_factory: whether a model that was built by ``package.module:factory`` may import that code.
    Raises `TurncoatError` for a file that is not such a one.
    """
    try:
        with cast(Any, safe_open(str(path), framework="pt")) as file:
            metadata = cast("dict[str, str] | None", file.metadata()) or {}
        arch = cast(Mapping[str, Any], json.loads(metadata["turncoat"]))
        model = Model.parse(arch["model"], {"allow_factory": allow_factory})
        shape, classes = tuple(map(int, arch["shape"])), tuple(map(str, arch["classes"]))
        channels, height, width = shape
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, ValidationError) as error:
        why = " ".join(str(error).split())
        raise TurncoatError(f"{path}: expected weights written by turncoat (safetensors with its metadata), got: {why}") from None
    return load_into(model, (channels, height, width), classes, path), classes


def load_into(model: Model, shape: tuple[int, int, int], classes: tuple[str, ...], path: Path) -> Normalised:
    """A freshly built ``model`` with the weights of ``path``."""
    with torch.random.fork_rng(devices=[]):
        network = Normalised(model.build(shape, len(classes)), torch.zeros(shape[0]), torch.ones(shape[0]))
    try:
        load_model(network, str(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]
        raise TurncoatError(f"{path}: the weights do not fit {model!r}: {why}; delete the folder to train again") from None
    return network.eval()
