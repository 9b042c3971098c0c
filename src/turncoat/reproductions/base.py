"""`Reproduction`: a named study and its claims. One file a reproduction; ``turncoat reproduce list`` shows it by itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from turncoat.component import Component
from turncoat.experiment.grid import Cell
from turncoat.report.read import Trial
from turncoat.reproductions.claims import Claim


class Reproduction(Component):
    """What a paper found, as trials to run and statements that they can bear out or refute."""

    family: ClassVar[str] = "reproductions"

    fast: bool = Field(default=False, description="a small stand-in that needs no data and takes minutes")
    data: Path | None = Field(default=None, description="a local copy of the data set; left out: downloaded")
    seeds: int | None = Field(default=None, ge=1, description="seeds, counted from 0; left out: as many as the claims need")

    @abstractmethod
    def cells(self) -> list[Cell]:
        """Its trials, in the order in which they run. Raises `TurncoatError` for settings that do not go together."""

    @abstractmethod
    def judge(self, trials: Sequence[Trial]) -> list[Claim]:
        """The claims, always all of them. trials: those of `cells` that are there, diverged ones among them."""
