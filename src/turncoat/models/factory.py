"""A victim of one's own: any function that returns a module."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from pathlib import Path
from typing import ClassVar, Literal

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
        module, _, function = self.factory.partition(":")
        try:
            made = getattr(importlib.import_module(module), function)(shape, classes)
        except (ImportError, AttributeError, ValueError) as error:
            raise TurncoatError(
                f"--model-factory: expected an importable package.module:function, got '{self.factory}': {error}"
            ) from error
        if not isinstance(made, nn.Module):
            raise TurncoatError(
                f"--model-factory: {self.factory} must return a torch.nn.Module, it returned {type(made).__name__}"
            )
        return made
