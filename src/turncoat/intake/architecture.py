"""The network that a state dict is of: built by name or by a factory, for the shape and classes that the weights tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from turncoat.component import members
from turncoat.errors import TurncoatError, shown
from turncoat.intake.answers import Shape, as_logits
from turncoat.intake.fit import Match, fill, match
from turncoat.intake.statefile import State, first_line
from turncoat.models.base import Model
from turncoat.models.factory import call, find
from turncoat.models.published import Published

Build = Callable[[Shape, int], nn.Module]

FACTORY = "factory:"
_CLASSES = 10
_SIDES = (32, 224, 28, 64, 96, 160, 48, 16, 8, 105, 128, 256, 299)
"""Tried one after the other where nothing tells the size of images."""
_KERNEL = 7
"""Networks whose first filters are at least so large were made for images of `_LARGE` pixels."""
_LARGE = 224


@dataclass(frozen=True, eq=False)
class Built:
    """A network with its weights, the shape that it was tried on, how many classes it tells apart, and what stood beside it.

    notes: what had to be assumed about its answers.
    """

    network: nn.Module
    shape: Shape
    classes: int
    aside: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Architecture:
    """``name``: as it was given. ``native``: the side that it was published for, where it was."""

    name: str
    build: Build
    native: int | None = None


def architecture(arch: str | Model, allow_factory: bool) -> Architecture:
    """A model of ours, ``timm:NAME``, or ``package.module:factory``, which is imported here and only if ``allow_factory``.

    Raises `TurncoatError` for any other name.
    """
    if isinstance(arch, Model):
        return _named(arch, arch.label)
    prefix, colon, rest = arch.partition(":")
    if colon and (prefix not in members(Model) or arch.startswith(FACTORY)):
        factory = arch.removeprefix(FACTORY)
        if not allow_factory:
            raise TurncoatError(f"{shown(factory)}: a factory runs code: name it by --arch on the command line")
        found = find(factory, "--arch")
        return Architecture(factory, lambda shape, classes: call(found, shape, classes, f"--arch: {factory}"))
    try:
        return _named(Model.parse(arch), arch)
    except PydanticCustomError as error:
        raise TurncoatError(
            f"--arch: {shown(error.message())}; or timm:NAME, or package.module:function, a factory of your own"
        ) from None
    except ValidationError as error:
        raise TurncoatError(f"--arch: {shown(error.errors()[0]['msg'])}: {shown(rest)}") from None


def _named(model: Model, name: str) -> Architecture:
    model = model.blank()
    native = None
    if isinstance(model, Published):
        native = model.native()
    return Architecture(name, model.build, native)


def build_fitting(
    arch: Architecture,
    state: State,
    *,
    shape: Shape | None = None,
    like: Shape | None = None,
    classes: int | None = None,
) -> Built:
    """The architecture with these weights, in eval mode.

    shape: of images, where it is known; like: where it is only likely. classes: where known; else as the weights have it.
    Raises `TurncoatError` for weights of another architecture, telling the first few names.
    """
    closest: Match | None = None
    failure = ""
    for place in _shapes(arch, state.tensors, shape, like):
        try:
            found = _try(arch, state.tensors, place, classes)
        except TurncoatError as error:
            failure = failure or str(error)
            continue
        except Exception as error:  # noqa: BLE001 - whatever someone's network raises on images that it was not made for
            failure = failure or f"it fails on images {place}: {first_line(error)}"
            continue
        if isinstance(found, Built):
            return found
        closest = found if closest is None or found.mistakes < closest.mistakes else closest
        if not closest.misshapen:
            break  # another size of images changes no names
    if closest is not None:
        raise TurncoatError(f"the weights do not fit {shown(arch.name)}: {closest}; is --arch what it was trained as?")
    raise TurncoatError(f"{shown(arch.name)} cannot be built for these weights: {shown(failure)}")


def _try(arch: Architecture, tensors: Mapping[str, Tensor], shape: Shape, classes: int | None) -> Built | Match:
    given = classes or _CLASSES
    network, found = _built(arch, tensors, shape, given)
    told = _told_by(found, given, shape)
    if found.mistakes and told != (given, shape):
        given, shape = told
        network, found = _built(arch, tensors, shape, given)
    if found.mistakes:
        return found
    fill(network, found, tensors)
    read = as_logits(network, shape)
    return Built(read.network, shape, read.classes, found.aside, read.notes)


def _built(arch: Architecture, tensors: Mapping[str, Tensor], shape: Shape, classes: int) -> tuple[nn.Module, Match]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = arch.build(shape, classes).float().cpu().eval()
        if any(isinstance(parameter, nn.UninitializedParameter) for parameter in network.parameters()):
            with torch.no_grad():
                network(torch.full((2, *shape), 0.5))
    return network, match(network, tensors)


def _told_by(found: Match, classes: int, shape: Shape) -> tuple[int, Shape]:
    """Classes and channels as the weights have them, where that is all that is wrong in some of them."""
    heads = {a[0] for _, a, b in found.misshapen if a and b and a[0] != b[0] == classes and a[1:] == b[1:]}
    stems = {a[1] for _, a, b in found.misshapen if len(a) == len(b) == 4 and a[1] != b[1] == shape[0]}
    channels = stems.pop() if len(stems) == 1 else shape[0]
    return heads.pop() if len(heads) == 1 else classes, (channels, *shape[1:])


def _shapes(arch: Architecture, tensors: Mapping[str, Tensor], shape: Shape | None, like: Shape | None) -> Iterator[Shape]:
    """Shapes of images to try, likeliest first."""
    if shape is not None:
        yield shape
        return
    filters = [tensor for tensor in tensors.values() if tensor.ndim == 4]
    likely = _channels(filters, 3 if like is None else like[0])
    sides = [(side, side) for side in _SIDES]
    if any(min(f.shape[2:]) >= _KERNEL and f.shape[1] in (1, 3) for f in filters):
        sides.insert(0, (_LARGE, _LARGE))
    if arch.native is not None:
        sides.insert(0, (arch.native, arch.native))
    if like is not None:
        sides.insert(0, like[1:])
    for channels in (likely,) if filters else (likely, 4 - likely):  # 3 and 1
        for height, width in dict.fromkeys(sides):
            yield channels, height, width


def _channels(filters: list[Tensor], otherwise: int) -> int:
    """Of the filters that look at so few channels, none but the first layer's is dense; 3 and 1 alike leave it open."""
    few = {tensor.shape[1] for tensor in filters if tensor.shape[1] in (1, 3)}
    return few.pop() if len(few) == 1 else otherwise
