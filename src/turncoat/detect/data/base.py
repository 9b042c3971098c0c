"""`DataDetector`: scores every sample of a data set that may be poisoned."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from torch import Tensor

from turncoat.component import Component
from turncoat.detect.data.evidence import Evidence

LooksFor = Literal["images", "labels", "both"]
Rests = Literal["pixels", "features", "behaviour", "labels"]


class DataDetector(Component):
    """A method that ranks the samples of a data set by how suspicious they are. It sees no truth."""

    family: ClassVar[str] = "detect.data"
    paper: ClassVar[str]
    looks_for: ClassVar[LooksFor]
    """Poisoned images, false labels, or either."""
    rests_on: ClassVar[Rests]
    """What it looks at: methods of two kinds that agree tell more than two of one."""
    convicts: ClassVar[bool] = False
    """Whether it suffices by itself; where clean classes often look the same to it, a method of another kind has to agree."""
    floor: ClassVar[float] = 0.0
    """A class stands out by scores of at least this."""
    in_deviations: ClassVar[bool] = False
    """Whether scores are in deviations of the body of a sample's class: every class has some of 2 or 3 by chance."""
    says: ClassVar[str] = ""
    """What a high score says of a sample, as the reason in a list of suspects."""

    @abstractmethod
    def scores(self, evidence: Evidence) -> Tensor:
        """float64 ``(N,)``, one a sample in the data set's order, finite, higher is more suspicious.

        The order of the samples does not matter, and the same evidence gives the same scores.
        """
