"""`Source`: where a data set comes from. One file a source; a new one appears by itself in ``turncoat list datasets``."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from turncoat.component import Component
from turncoat.data.imageset import Splits
from turncoat.progress import Progress, silent


class Source(Component):
    """A data set by name and settings; ``load`` reads it into memory (downloading never happens here unless allowed)."""

    family: ClassVar[str] = "data"
    downloads: ClassVar[bool] = False
    """Whether ``turncoat data get NAME`` has something to fetch."""

    @abstractmethod
    def load(self, progress: Progress = silent) -> Splits:
        """Train and test images. Raises `TurncoatError` naming the file, what was expected and what came."""


def load(data: Source | str | dict[str, object], progress: Progress = silent) -> Splits:
    """Load a data set: ``load("digits")``, ``load("folder:PATH")``, ``load({"name": "folder", "path": ..., "size": 64})``."""
    return Source.parse(data).load(progress)
