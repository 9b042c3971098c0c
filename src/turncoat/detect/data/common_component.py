"""Common component: a pattern that was added to many images of one class."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from turncoat.detect.data.base import DataDetector, LooksFor, Rests
from turncoat.detect.data.cosine import bands, coefficients
from turncoat.detect.data.discriminant import peculiar
from turncoat.detect.data.evidence import Evidence


class CommonComponent(DataDetector):
    """Looks for one pattern (a patch, a blend, a signal) that images of one class share and others lack; needs no model."""

    paper: ClassVar[str] = "ours: class means of cosine coefficients against those of the other classes, learnt and tested apart"
    looks_for: ClassVar[LooksFor] = "images"
    rests_on: ClassVar[Rests] = "pixels"
    convicts: ClassVar[bool] = True
    floor: ClassVar[float] = 4.0
    in_deviations: ClassVar[bool] = True
    says: ClassVar[str] = "carries the pattern that images of its class share and others lack"

    name: Literal["common-component"] = "common-component"

    def scores(self, evidence: Evidence) -> Tensor:
        data = evidence.small

        def values(part: Tensor) -> Tensor:
            return coefficients(data.images[part]).flatten(1)

        kinds = bands(data.shape).flatten()
        return peculiar(values, data.labels, evidence.classes, evidence.half, sample=evidence.sample, kinds=kinds)
