"""What someone's network answers with, brought to logits ``(N, classes)``; and whether it can be audited at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from turncoat.errors import TurncoatError
from turncoat.train.placement import split

_NAMES = ("logits", "logit", "out", "output", "outputs", "prediction", "predictions", "pred", "scores", "y")
"""Keys and attributes under which networks hand out logits beside other things, likeliest first."""
_PROBES = 4
_SCALES = (0.0, 1.0, -10.0, 1000.0)
_TINY, _SURE = 1e-12, 1e-6

Shape = tuple[int, int, int]
Place = str | int | None


@dataclass(frozen=True)
class Reading:
    """How to read an answer. place: of the logits in a mapping, an object or a sequence; None: they are all of it.
    batch: how many images it takes at a time, 0 for any number. copied: it changes the images that it is given.
    """

    place: Place = None
    batch: int = 0
    copied: bool = False


class Answers(nn.Module):
    """A network whose answer is read by a `Reading`."""

    def __init__(self, network: nn.Module, reading: Reading) -> None:
        super().__init__()
        self.network, self.reading = network, reading

    def forward(self, x: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` to ``(N, K)``."""
        reading, size = self.reading, self.reading.batch
        if not size:
            return _at(self.network(x.clone() if reading.copied else x), reading.place).flatten(1)
        parts = [torch.cat([part, part.new_zeros(size - len(part), *x.shape[1:])]) for part in split(x, size)]
        return torch.cat([_at(self.network(part), reading.place).flatten(1) for part in parts])[: len(x)]


class FromProbabilities(nn.Module):
    """A network that ends in a softmax, without it: logits up to a constant."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` to ``(N, classes)``."""
        return self.network(x).clamp_min(_TINY).log()


class FromSigmoids(nn.Module):
    """A network that ends in a sigmoid a class, without them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` to ``(N, K)``."""
        return self.network(x).float().logit(_SURE)


class TwoClasses(nn.Module):
    """A network with one logit, that of class 1 against class 0."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` to ``(N, 2)``."""
        found = self.network(x)
        return torch.cat([torch.zeros_like(found), found], 1)


@dataclass(frozen=True, eq=False)
class Read:
    """A network from float ``(N, C, H, W)`` to logits ``(N, classes)``, and what had to be assumed about its answer."""

    network: nn.Module
    classes: int
    notes: tuple[str, ...]


def as_logits(network: nn.Module, shape: Shape, batch: int | None = None) -> Read:
    """Try a network in eval mode on a few images and bring its answer to logits.

    batch: how many images its file says that it takes at a time, tried where it does not take any number.
    Raises `TurncoatError` for an answer without a row of numbers an image, and for answers that are not finite; and whatever the
    network raises itself.
    """
    x = _images(shape)
    with torch.no_grad():
        given = x[:2].clone()
        reading, flat, notes = _tried(network, given, batch)
        if not torch.equal(given, x[:2]):
            reading, flat = Reading(reading.place, reading.batch, copied=True), False
        if not flat:
            network = Answers(network, reading).eval()
        answers = network(x)
    if not bool(torch.isfinite(answers[: 2 * _PROBES]).all()):
        raise TurncoatError("its answers are not finite: the file holds NaN or infinite weights")
    inside = not bool((answers == answers[:1]).all()) and bool(((answers >= 0) & (answers <= 1)).all())
    if inside and answers.shape[1] > 1 and torch.allclose(answers.sum(1), torch.ones(len(answers)), atol=1e-3):
        network = FromProbabilities(network).eval()
        notes.append("it answers with probabilities: their logarithms are taken as logits")
    elif inside:
        network = FromSigmoids(network).eval()
        notes.append("it answers with a probability for each class by itself: their logits are taken")
    if answers.shape[1] == 1:
        network = TwoClasses(network).eval()
        notes.append("it answers with one number an image: the more, the likelier is class 1 of two")
    return Read(network, max(2, answers.shape[1]), tuple(notes))


def _images(shape: Shape) -> Tensor:
    """Grey, then noise at several scales: a squashing function keeps all of them in its range, and little else does."""
    draw = torch.Generator().manual_seed(0)
    parts = [0.5 + scale * (torch.rand(_PROBES, *shape, generator=draw) - 0.5) for scale in _SCALES]
    return torch.cat(parts)


def _tried(network: nn.Module, x: Tensor, batch: int | None) -> tuple[Reading, bool, list[str]]:
    """How to read it, whether its answer is ``(N, K)`` as it comes, and what to tell."""
    failure: Exception | None = None
    for size in (0, *((batch,) if batch else ()), 1):
        part = x if size == 0 else x[:1].expand(size, -1, -1, -1).clone()
        try:
            output = cast(object, network(part))
            place, notes = _place(output, len(part), network)
        except Exception as error:  # noqa: BLE001 - whatever someone's network raises for a batch that it does not take
            failure = failure or error
            continue
        if size:
            notes.append(f"it takes {size} image{'s' if size > 1 else ''} at a time: the audit is slower for it")
        return Reading(place, size), not size and isinstance(output, Tensor) and output.ndim == 2, notes
    assert failure is not None
    raise failure


def _place(output: object, count: int, network: nn.Module) -> tuple[Place, list[str]]:
    """Where in an answer the logits are: of what is a row of numbers an image, that which is named so, or as wide as the head."""
    if isinstance(output, Tensor):
        if not _is_matrix(output, count):
            raise _unreadable(str(tuple(output.shape)))
        return None, []
    found = {place: value for place, value in _parts(output).items() if isinstance(value, Tensor) and _is_matrix(value, count)}
    if not found:
        raise _unreadable(f"a {type(output).__name__} without any")
    named = [place for place in _NAMES if place in found]
    wide = [place for place, value in found.items() if value.shape[1] == _width(network)]
    place = next(iter((*named, *wide, *found)))
    shapes = ", ".join(f"{place!r} (N, {value.shape[1]})" for place, value in found.items())
    return place, [f"it answers with a {type(output).__name__} ({shapes}): {place!r} is taken as logits"]


def _unreadable(got: str) -> TurncoatError:
    return TurncoatError(f"expected logits (2, classes) of two images, got {got}; write a factory that returns these alone")


def _parts(output: object) -> dict[str | int, object]:
    if isinstance(output, Mapping):
        return {name: value for name, value in cast("Mapping[object, object]", output).items() if isinstance(name, str)}
    if isinstance(output, Sequence) and not isinstance(output, str):
        return dict(enumerate(cast("Sequence[object]", output)))
    return {name: cast(object, getattr(output, name)) for name in _NAMES if hasattr(output, name)}


def _at(output: object, place: Place) -> Tensor:
    if place is None:
        return cast(Tensor, output)
    if isinstance(place, str) and not isinstance(output, Mapping):
        return cast(Tensor, getattr(output, place))
    return cast("dict[str | int, Tensor]", output)[place]


def _is_matrix(value: Tensor, count: int) -> bool:
    return value.is_floating_point() and value.ndim >= 2 and len(value) == count and value[0].numel() == value.shape[1] > 0


def _width(network: nn.Module) -> int:
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return layers[-1].out_features if layers else 0


def check_auditable(network: nn.Module, shape: Shape) -> list[str]:
    """What a reader should know about how its answers come about, sentence by sentence.

    Raises `TurncoatError` where no gradient can reach the pixels: an audit climbs it.
    """
    x = _images(shape)[_PROBES : 3 * _PROBES]
    given = x.clone().requires_grad_()
    with torch.enable_grad():
        answers = cast(Tensor, network(given))
        total = answers.square().sum()
    slope = None
    if total.requires_grad:
        slope = torch.autograd.grad(total, given, allow_unused=True)[0]
    if slope is None:
        raise TurncoatError(
            "no gradient reaches the pixels: its forward detaches, leaves torch or runs under no_grad; audits climb gradients: "
            "write a factory without that"
        )
    answers = answers.detach()
    with torch.no_grad():
        again, alone = network(x), torch.cat([network(part) for part in split(x, 1)])
    slack, notes = 1e-3 * float(answers.abs().max()), list[str]()
    if not _close(answers, again, slack):
        notes.append("its answers to the same images differ from pass to pass: is a dropout always on?")
    elif not _close(again, alone, slack):
        notes.append("its answers depend on the other images of a batch: batch statistics in eval mode make an audit unsure")
    if not bool(slope.any()):
        notes.append("no gradient reaches the pixels of noise: does its forward round them, or is the preprocessing wrong?")
    return notes


def _close(first: Tensor, second: Tensor, slack: float) -> bool:
    return bool((first - second).abs().max() <= slack)
