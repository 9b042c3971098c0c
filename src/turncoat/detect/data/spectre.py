"""SPECTRE: outliers of features that a robust covariance has whitened."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor

from turncoat.detect.data.base import DataDetector, LooksFor, Rests
from turncoat.detect.data.evidence import Evidence
from turncoat.detect.data.robust import by_class, centre_and_scale


def quantum_entropy(features: Tensor, dims: int, trim: float, alpha: float) -> Tensor:
    """QUE scores of rows of float ``(n, D)`` in their ``dims`` top directions, whitened by mean and covariance of the rows that
    remain when a share ``trim`` farthest out is left out, first by medians; float64 ``(n,)``, higher is farther out.
    """
    x = features.double()
    x = x - x.mean(0)
    _, vectors = cast(tuple[Tensor, Tensor], torch.linalg.eigh(x.T @ x))
    x = x @ vectors[:, -dims:]
    middle, scale = centre_and_scale(x)
    white = (x - middle) / scale
    for _ in range(4):
        far = white.square().sum(1)
        kept = far <= far.kthvalue(max(dims + 1, round((1 - trim) * len(x)))).values
        centre = x[kept].mean(0)
        values, axes = cast(tuple[Tensor, Tensor], torch.linalg.eigh((x[kept] - centre).T @ (x[kept] - centre) / int(kept.sum())))
        white = (x - centre) @ axes / values.clamp_min(1e-9 * float(values.max()) + 1e-12).sqrt()
    eye = torch.eye(white.shape[1], dtype=torch.float64)
    covariance = white.T @ white / len(white)
    excess = cast(Tensor, torch.linalg.matrix_norm(covariance, 2)) - 1
    weights = torch.matrix_exp(alpha * (covariance - eye) / excess.clamp_min(1e-6))
    return ((white @ weights) * white).sum(1) / weights.trace()


class Spectre(DataDetector):
    """Quantum entropy scores; unlike spectral-signatures in many directions, and whitened by what the poison does not set."""

    paper: ClassVar[str] = "Hayase, Kong, Somani, Oh: SPECTRE: Defending Against Backdoor Attacks Using Robust Statistics, 2021"
    looks_for: ClassVar[LooksFor] = "images"
    rests_on: ClassVar[Rests] = "features"
    floor: ClassVar[float] = 3.0
    in_deviations: ClassVar[bool] = True
    says: ClassVar[str] = "an outlier of its class's whitened features"

    name: Literal["spectre"] = "spectre"
    dims: int = Field(default=8, ge=1, description="directions of each class's features")
    trim: float = Field(default=0.15, gt=0, lt=0.5, description="share of a class that its covariance leaves out")
    alpha: float = Field(default=4.0, ge=0, description="how much the directions with the largest excess count")

    def scores(self, evidence: Evidence) -> Tensor:
        labels, features = evidence.data.labels, evidence.features
        found = torch.zeros(len(labels), dtype=torch.float64)
        for label in range(evidence.classes):
            own = labels == label
            dims = min(self.dims, features.shape[1], int(own.sum()) // 4)
            if dims >= 1:
                found[own] = quantum_entropy(features[own], dims, self.trim, self.alpha).clamp_min(0).sqrt()
        return by_class(found, labels, evidence.classes)
