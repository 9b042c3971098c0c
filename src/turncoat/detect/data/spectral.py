"""Spectral signatures: the direction in which a class's features vary most."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from torch import Tensor

from turncoat.detect.data.base import DataDetector, LooksFor, Rests
from turncoat.detect.data.evidence import Evidence
from turncoat.detect.data.robust import by_class


def along_top(features: Tensor) -> Tensor:
    """How far each row of float ``(n, D)`` lies along the top singular vector of the centred rows; float64 ``(n,)``, any sign."""
    centred = features.double() - features.double().mean(0)
    _, vectors = cast(tuple[Tensor, Tensor], torch.linalg.eigh(centred.T @ centred))
    return centred @ vectors[:, -1]


class SpectralSignatures(DataDetector):
    """Distance along each class's top singular vector, in deviations of that class so that classes can be compared."""

    paper: ClassVar[str] = "Tran, Li, Madry: Spectral Signatures in Backdoor Attacks, 2018"
    looks_for: ClassVar[LooksFor] = "images"
    rests_on: ClassVar[Rests] = "features"
    floor: ClassVar[float] = 3.0
    in_deviations: ClassVar[bool] = True
    says: ClassVar[str] = "lies far along its class's top singular vector"

    name: Literal["spectral-signatures"] = "spectral-signatures"

    def scores(self, evidence: Evidence) -> Tensor:
        labels = evidence.data.labels
        found = torch.zeros(len(labels), dtype=torch.float64)
        for label in range(evidence.classes):
            own = labels == label
            if int(own.sum()) > 2:
                found[own] = along_top(evidence.features[own])
        return by_class(found, labels, evidence.classes).abs()
