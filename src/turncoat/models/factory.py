"""A victim of one's own: any function that returns a module."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal, cast

from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from torch import nn

from turncoat.errors import TurncoatError
from turncoat.models.base import Model


class FactoryModel(Model):
    """`package.module:function` called with (shape, classes); named on the command line alone, since importing runs code."""

    name: Literal["factory"] = "factory"
    shorthand: ClassVar[str | None] = "factory"
    factory: str

    @field_validator("factory")
    @classmethod
    def _named_by_the_user(cls, value: str, info: ValidationInfo) -> str:
        if not (info.context or {}).get("allow_factory"):
            raise PydanticCustomError("factory", "a factory runs code: name it by --model-factory on the command line")
        return value

    def content(self) -> dict[str, str]:
        """The source of the factory's module: an edit makes a new trial. What that module imports is not looked at."""
        try:
            spec = importlib.util.find_spec(self.factory.partition(":")[0])
        except (ImportError, ValueError):
            return {}  # build says what is wrong
        if spec is None or spec.origin is None or not Path(spec.origin).is_file():
            return {}
        return {"source": hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()}

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Call the factory with ``shape`` (C, H, W) and ``classes``; it returns a module from standardised images to logits."""
        return call(find(self.factory, "--model-factory"), shape, classes, f"--model-factory: {self.factory}")


Factory = Callable[..., object]


def find(factory: str, option: str) -> Factory:
    """Import ``package.module:function``. Raises `TurncoatError`, which begins with ``option``, where there is none."""
    module, _, function = factory.partition(":")
    try:
        found = cast(object, importlib.import_module(module))
        for part in function.split("."):
            found = cast(object, getattr(found, part))
        if not callable(found):
            raise TypeError(f"{function} is a {type(found).__name__}, not a function or class")
    except (ImportError, AttributeError, ValueError, TypeError, SyntaxError) as error:
        hint = _hint(module, function)
        raise TurncoatError(
            f"{option}: expected an importable package.module:function, got '{factory}': {error}{hint}"
        ) from error
    return found


def _hint(module: str, function: str) -> str:
    """What may have been meant: a file by its path, or a name like those that the module has."""
    path = module.removesuffix(".py").strip("./").replace("/", ".")
    if path != module:
        return f"; a file is named as a module, {path}:{function}, from the folder that it is found in"
    names = [name for name in vars(sys.modules[module]) if not name.startswith("_")] if module in sys.modules else []
    close = difflib.get_close_matches(function, names, n=3, cutoff=0.4)
    return f"; did you mean {', '.join(close)}?" if close else ""


def call(factory: Factory, shape: tuple[int, int, int], classes: int, what: str) -> nn.Module:
    """A factory's network. what: begins the errors.

    Its parameters that are called like ``shape``, ``num_classes``, ``in_channels`` or ``img_size`` get what their names say. Of
    others that must be given, one alone gets ``classes``, two get ``(shape, classes)``.
    Raises `TurncoatError` for a factory that cannot be called so, fails, or returns no module.
    """
    positional, named = list[object](), dict[str, object]()
    try:
        positional, named = arguments(factory, shape, classes)
        made = factory(*positional, **named)
    except Exception as error:
        told = ", ".join([*map(str, positional), *(f"{key}={value}" for key, value in named.items())])
        raise TurncoatError(f"{what}({told}) failed: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise TurncoatError(f"{what} must return a torch.nn.Module, it returned {type(made).__name__}")
    return made


_CLASSES = ("classes", "num_classes", "n_classes", "nclasses", "num_class", "n_class", "nb_classes", "num_labels", "class_num")
_SHAPE = ("shape", "input_shape", "image_shape", "img_shape", "in_shape")
_CHANNELS = ("channels", "in_channels", "in_chans", "num_channels", "n_channels", "input_channels", "in_channel", "channel")
_SIDE = ("img_size", "image_size", "input_size", "size", "side")


def arguments(
    function: Callable[..., object], shape: tuple[int, int, int], classes: int
) -> tuple[list[object], dict[str, object]]:
    """Positional and named arguments that suit a factory's signature; see `call`. Raises ValueError where nothing does."""
    meant: dict[str, object] = dict.fromkeys(_CLASSES, classes)
    meant |= {**dict.fromkeys(_SHAPE, shape), **dict.fromkeys(_CHANNELS, shape[0]), **dict.fromkeys(_SIDE, shape[1])}
    parameters = list(inspect.signature(function).parameters.values())
    named = {p.name: meant[p.name] for p in parameters if p.name in meant and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    unknown = [
        p for p in parameters if p.default is p.empty and p.name not in named and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    anything = {p.kind for p in parameters}
    if not unknown and named:
        return [], named
    if not unknown and inspect.Parameter.VAR_POSITIONAL in anything:
        return [shape, classes], {}
    if not unknown:
        return [], {"num_classes": classes} if inspect.Parameter.VAR_KEYWORD in anything else {}
    if len(unknown) <= 2 and not named and all(p.kind is not p.KEYWORD_ONLY for p in unknown):
        return [classes] if len(unknown) == 1 else [shape, classes], {}
    names = ", ".join(p.name for p in unknown)
    raise ValueError(f"it wants {names}; write a factory that takes nothing, num_classes, or (shape, classes)")
