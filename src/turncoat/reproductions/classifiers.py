"""What the reproductions of attacks on classifiers share: one configuration on several seeds, CIFAR-10 or, fast, digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import model_validator

from turncoat.experiment.config import lay_over, parse_config
from turncoat.experiment.grid import Cell
from turncoat.reproductions.base import Reproduction


class ClassifierReproduction(Reproduction):
    """full, quick_form: the settings of a trial, without its seed. data: CIFAR-10 as class folders or as downloaded."""

    full: ClassVar[Mapping[str, Any]]
    quick_form: ClassVar[Mapping[str, Any]]
    wanted: ClassVar[int]
    """Seeds that the claims need."""

    def variants(self) -> Mapping[str, Mapping[str, Any]]:
        """What is laid over the settings for trials that are compared, by the name of their attack; by default one, as it is."""
        return {"": {}}

    @model_validator(mode="after")
    def _fast_needs_no_data(self) -> ClassifierReproduction:
        if self.fast and self.data is not None:
            raise ValueError("the fast form runs on the digits; give data or fast, not both")
        return self

    def cells(self) -> list[Cell]:
        base = dict(self.quick_form if self.fast else self.full)
        if self.data is not None:
            folders = (self.data / "train").is_dir()
            base["data"] = {"name": "folder" if folders else "cifar10", "path": str(self.data)}
        seeds = range(self.wanted if self.seeds is None else self.seeds)
        cells: list[Cell] = []
        for label, changes in self.variants().items():
            named = {"attack": label} if label else {}
            cells += [Cell({**named, "seed": s}, parse_config(lay_over(base, {**changes, "seed": s}))) for s in seeds]
        return cells
