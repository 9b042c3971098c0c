"""`open_model`: a network of ours or of anyone's, ready to be audited, with its preprocessing inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from turncoat.errors import TurncoatError, shown
from turncoat.experiment.store import WEIGHTS
from turncoat.experiment.weights import load_network, load_siamese, metadata_of
from turncoat.intake.answers import Shape, as_logits, check_auditable
from turncoat.intake.architecture import FACTORY, Architecture, Built, architecture, build_fitting
from turncoat.intake.preprocessing import UNIT, Preprocessing, Range
from turncoat.intake.statefile import first_line, kind_of, read_state
from turncoat.models.base import Model
from turncoat.oneshot.siamese import Siamese

_LARGEST, _MOST = 8192, 100_000
_NAMED = 4


@dataclass(frozen=True, eq=False)
class Opened:
    """A model as it is examined.

    network: from float ``(N, C, H, W)`` in [0, 1] to logits ``(N, classes)``, in eval mode on the CPU, or a `Siamese`.
    shape: (C, H, W) of an image. classes: their names, or their numbers where ``named`` is false; none of a `Siamese`.
    source: in words, where it comes from. trial: the folder of a trial of ours that it lies in, which is not looked into.
    bare: what is inside the preprocessing that was given; None where the file itself has it. notes: what had to be assumed.
    """

    network: nn.Module
    shape: Shape
    classes: tuple[str, ...]
    named: bool
    source: str
    trial: Path | None = None
    bare: nn.Module | None = None
    notes: tuple[str, ...] = ()

    @property
    def one_shot(self) -> bool:
        """Whether it compares two images rather than naming the class of one."""
        return isinstance(self.network, Siamese)

    def with_names(self, classes: Sequence[str]) -> Opened:
        """Its classes called otherwise, in its order."""
        if len(classes) != len(self.classes):
            raise TurncoatError(f"the model tells {len(self.classes)} classes apart, got {len(classes)} names")
        return replace(self, classes=tuple(classes), named=True)


def open_model(
    path: str | Path,
    *,
    arch: str | Model | None = None,
    classes: Sequence[str] | None = None,
    shape: Shape | None = None,
    like: Shape | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_range: Range = UNIT,
    allow_factory: bool = False,
) -> Opened:
    """Open a model's file. Nothing in it is run.

    path: a trial's folder or its safetensors file, which say all themselves; anyone's safetensors file or state dict (``.pth``,
    read by torch's restricted loader) with ``arch``; or ONNX (needs the extra).
    arch: a name of ours, ``timm:NAME``, or, if ``allow_factory``, ``package.module:function``, which is imported.
    classes: names in the model's order. shape: (C, H, W) of its images; like: that of images at hand, taken where it fits.
    mean, std: one number or one a channel, in units of ``input_range``, which pixels are brought to first.

    Raises `TurncoatError` for what could run code (naming what it wanted), for damaged files, and for weights that do not fit.
    """
    path = Path(path).expanduser()
    folder = path if path.is_dir() else None
    if folder is not None:
        path = folder / WEIGHTS
        if not path.is_file():
            raise TurncoatError(
                f"{shown(folder)}: expected a trial's folder with {WEIGHTS}, got one without; run it with keep_models=victims"
            )
    kind = kind_of(path)
    found = metadata_of(path) if kind == "safetensors" else None
    given = Preprocessing(_floats(mean), _floats(std), (float(input_range[0]), float(input_range[1])))
    if found is not None and (arch is None or _is_factory(found)):
        if given != Preprocessing():
            raise TurncoatError(f"{shown(path)}: has its standardisation inside; leave --mean, --std and --input-range out")
        return _ours(path, found, arch, classes, allow_factory)
    if kind == "onnx":
        return _prepared(*_onnx(path, arch, shape, like), given, classes)
    if arch is None:
        raise TurncoatError(
            f"{shown(path)}: expected --arch beside weights alone: a name of ours, timm:NAME, or package.module:function"
        )
    wanted = architecture(arch, allow_factory)
    count = None if classes is None else len(classes)
    return _prepared(*_fitted(path, wanted, shape, like, count), given, classes)


def _floats(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(map(float, values))


def _is_factory(found: Mapping[str, Any]) -> bool:
    model = cast(object, found.get("model"))
    return isinstance(model, Mapping) and cast("Mapping[str, object]", model).get("name") == "factory"


def _ours(
    path: Path, found: Mapping[str, Any], arch: str | Model | None, classes: Sequence[str] | None, allow_factory: bool
) -> Opened:
    shape = _shape_of(found, path)
    trial = path.parent if (path.parent / "trial.json").is_file() else None
    if found.get("task") == "one-shot":
        return Opened(load_siamese(path), shape, (), False, "a Siamese network of turncoat's", trial)
    if _is_factory(found):
        factory = str(found["model"].get("factory"))
        named = isinstance(arch, str) and arch.removeprefix(FACTORY) == factory
        if not (named and allow_factory):
            raise TurncoatError(f"{shown(path)}: its factory runs code: name it on the command line, --arch {shown(factory)}")
    network, names = load_network(path, allow_factory=allow_factory)
    opened = Opened(network, shape, names, True, "a network of turncoat's", trial)
    return opened if classes is None else opened.with_names(classes)


def _shape_of(found: Mapping[str, Any], path: Path) -> Shape:
    """The shape that metadata tell, which may be anyone's: checked before anything of that size is made."""
    try:
        channels, height, width = map(int, found["shape"])
        count = len(found.get("classes", ()))
    except (KeyError, TypeError, ValueError):
        raise TurncoatError(f"{shown(path)}: expected the shape of images in the metadata, got none") from None
    if channels not in (1, 3) or not 1 <= min(height, width) <= max(height, width) <= _LARGEST or count > _MOST:
        raise TurncoatError(f"{shown(path)}: expected images of at most 3x{_LARGEST}x{_LARGEST}, got {channels}x{height}x{width}")
    return channels, height, width


_Parts = tuple[Built, str, tuple[str, ...]]


def _fitted(path: Path, wanted: Architecture, shape: Shape | None, like: Shape | None, classes: int | None) -> _Parts:
    state = read_state(path, kind_of(path))
    try:
        built = build_fitting(wanted, state, shape=shape, like=like, classes=classes)
    except TurncoatError as error:
        raise TurncoatError(f"{shown(path)}: {error}") from error
    notes = _assumed(built.shape, shape, like, wanted.native)
    if state.left_out:
        notes = (*notes, f"not read, for it is no tensor: {shown(', '.join(state.left_out[:_NAMED]))}")
    under = f", under '{shown(state.under)}'" if state.under else ""
    return built, f"weights in {shown(path.name)}{under}, as {shown(wanted.name)}", notes


def _onnx(path: Path, arch: object, shape: Shape | None, like: Shape | None) -> _Parts:
    from turncoat.intake.onnx import open_onnx  # noqa: PLC0415 - an extra

    if arch is not None:
        raise TurncoatError(f"{shown(path)}: an ONNX file has its architecture inside; leave --arch out")
    network, sides, batch = open_onnx(path)
    likely = shape or like or (3, 224, 224)
    channels, height, width = (side or other for side, other in zip(sides, likely, strict=True))
    place = channels, height, width
    if shape is not None and place != shape:
        raise TurncoatError(f"{shown(path)}: takes images of {_written(place)}, --shape says {_written(shape)}")
    try:
        read = as_logits(network, place, batch)
    except TurncoatError as error:
        raise TurncoatError(f"{shown(path)}: {error}") from error
    except Exception as error:
        raise TurncoatError(
            f"{shown(path)}: fails on 2 images of {_written(place)}: {first_line(error)}; export it with a dynamic batch axis"
        ) from error
    notes = () if None not in sides else _assumed(place, shape, like, None)
    return Built(read.network, place, read.classes, {}, read.notes), f"ONNX graph in {shown(path.name)}", notes


def _written(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _assumed(shape: Shape, given: Shape | None, like: Shape | None, native: int | None) -> tuple[str, ...]:
    if given is not None or (like is not None and like[1:] == shape[1:]) or shape[1:] == (native, native):
        return ()
    return (f"the weights do not tell the size of images: {shape[1]}x{shape[2]} is assumed; --shape says otherwise",)


def _prepared(built: Built, source: str, notes: tuple[str, ...], given: Preprocessing, classes: Sequence[str] | None) -> Opened:
    """With its preprocessing around it: as given, or else as the buffers say that stood beside it."""
    network, channels = built.network, built.shape[0]
    notes = (*notes, *built.notes, *check_auditable(network, built.shape))
    beside = {name: built.aside[name].flatten().float() for name in ("mean", "std") if name in built.aside}
    if given == Preprocessing() and len(beside) == 2:
        given = Preprocessing(tuple(map(float, beside["mean"])), tuple(map(float, beside["std"])))
        notes = (*notes, f"standardisation as saved beside the weights: {given}")
    names = tuple(map(str, range(built.classes)))
    opened = Opened(given.around(network, channels), built.shape, names, False, source, None, network, notes)
    return opened if classes is None else opened.with_names(classes)
