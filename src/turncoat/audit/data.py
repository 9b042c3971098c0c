"""`audit_data`: which images and labels of a data set are poisoned? Needs no clean images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from turncoat.audit.annotators import Annotator, attribute, read_annotators
from turncoat.component import members
from turncoat.data.imageset import ImageSet
from turncoat.data.named import NamedImages, load_named
from turncoat.data.picture import Size
from turncoat.detect.data.base import DataDetector
from turncoat.detect.data.combine import Combined, combine
from turncoat.detect.data.evaluated import Evaluated, against_classes, against_doubt
from turncoat.detect.data.evidence import Evidence
from turncoat.errors import TurncoatError
from turncoat.progress import Progress, silent
from turncoat.train.placement import Placement, place

SUSPECT = 0.5
"""A sample is a suspect where it is more likely poisoned than not."""


@dataclass(frozen=True, eq=False)
class DataAudit:
    """What was found in a data set. Row i of each tensor is of the image ``names[i]``.

    likely: int64 ``(N,)``, the label that networks trained without the sample give it. methods: seconds of each, what they share
    (training) in ``shared``. annotators: where they were given.
    """

    source: NamedImages
    combined: Combined
    likely: Tensor
    methods: dict[str, float]
    shared: dict[str, float]
    seconds: float
    annotators: tuple[Annotator, ...] = ()

    @property
    def data(self) -> ImageSet:
        """The images with the labels that they came with."""
        return self.source.data

    @property
    def names(self) -> tuple[str, ...]:
        """Files, or numbers where there are none."""
        return self.source.names

    @property
    def verdict(self) -> str:
        """``suspicious``, or ``clean``: nothing stands out."""
        return "suspicious" if self.combined.stands_out else "clean"

    @property
    def scores(self) -> Tensor:
        """float64 ``(N,)`` in [0, 1], higher is more suspicious: the probability, ties settled by the ranks of all methods."""
        return self.combined.score

    @cached_property
    def ranking(self) -> Tensor:
        """int64 ``(N,)``: samples, the most suspicious first."""
        return self.scores.argsort(descending=True, stable=True)

    @cached_property
    def suspects(self) -> Tensor:
        """int64: samples more likely poisoned than not, the most suspicious first; none where nothing stands out."""
        return self.ranking[self.combined.probability[self.ranking] > SUSPECT]

    @property
    def estimated(self) -> int:
        """How many samples are poisoned, about."""
        return round(self.combined.estimated)

    @property
    def to_inspect(self) -> int:
        """How many to look at, the most suspicious first, to have found 95% of the estimated poison."""
        return self.combined.to_inspect(0.95)

    @property
    def false_discovery_rate(self) -> float:
        """The share of the suspects that is clean, about."""
        return self.combined.false_discovery_rate(len(self.suspects))

    def reason(self, sample: int) -> tuple[str, str]:
        """The method that says most about a sample, and what it says."""
        best = max(self.combined.evaluated, key=lambda one: (float(one.counted[sample]), _rank(one, sample)))
        return best.method.name, best.method.says


def audit_data(
    data: str | Path | ImageSet | NamedImages,
    *,
    network: nn.Module | None = None,
    methods: Sequence[str | DataDetector] = (),
    by: Path | None = None,
    size: Size | None = None,
    seed: int = 0,
    placement: Placement | None = None,
    progress: Progress = silent,
) -> DataAudit:
    """Rank the images of a data set by how suspicious they are, images and labels alike.

    data: a folder, table, archive or data set by name (see `load_named`), or images in memory. network: to embed with, from float
    ``(N, C, H, W)`` in [0, 1] to logits; left out: one is trained on the data. methods: names of ``turncoat list detectors``, or
    with settings; left out: all. by: a table ``file,annotator``. Raises `TurncoatError` for what cannot be read or is unknown.
    """
    started = time.perf_counter()
    chosen = _chosen(methods)
    source = _source(data, size, progress)
    annotators = None if by is None else read_annotators(by, source.names)
    images = source.data
    evidence = Evidence(images, network, placement or place(), seed, progress)
    evaluated, seconds = list[Evaluated](), dict[str, float]()
    for done, method in enumerate(chosen):
        progress(f"auditing: {method.name}", done, len(chosen))
        before, shared = time.perf_counter(), sum(evidence.seconds.values())
        evaluated.append(_evaluate(method, evidence))
        seconds[method.name] = time.perf_counter() - before - sum(evidence.seconds.values()) + shared
    combined = combine(evaluated, images.labels)
    if any(method.looks_for == "labels" for method in combined.told):
        evidence = evidence.believing(_believed(evidence, evaluated))
        again = [_evaluate(one.method, evidence) if one.method.looks_for == "labels" else one for one in evaluated]
        combined = combine(again, images.labels)
    likely = evidence.held_out_logits.argmax(1) if evidence.crossed else images.labels
    audit = DataAudit(source, combined, likely, seconds, dict(evidence.seconds), time.perf_counter() - started)
    if annotators is None:
        return audit
    suspect = torch.zeros(len(images), dtype=torch.bool)
    suspect[audit.suspects] = True
    found = attribute(cast(list[bool], suspect.tolist()), annotators)
    return DataAudit(source, combined, likely, seconds, dict(evidence.seconds), audit.seconds, found)


def _evaluate(method: DataDetector, evidence: Evidence) -> Evaluated:
    scores, labels = method.scores(evidence), evidence.data.labels
    if method.looks_for == "labels":
        return against_doubt(method, scores, evidence.doubt, labels, evidence.classes)
    return against_classes(method, scores, labels, evidence.classes)


def _believed(evidence: Evidence, evaluated: Sequence[Evaluated]) -> Tensor:
    """The labels of the data, but the likeliest other one where a label is doubted, or its class is and the sample is of the
    kind that is strange in it; int64 ``(N,)``.
    """
    labels = evidence.data.labels
    judges = [one for one in evaluated if one.method.looks_for == "labels"]
    doubted = torch.stack([one.counted for one in judges]).amax(0) > SUSPECT
    for label in {label for one in judges for label in one.classes if label >= 0}:
        doubted |= evidence.strange(label) > SUSPECT
    other = evidence.held_out_logits.scatter(1, labels[:, None], -torch.inf).argmax(1)
    return torch.where(doubted, other, labels)


def _source(data: str | Path | ImageSet | NamedImages, size: Size | None, progress: Progress) -> NamedImages:
    if isinstance(data, NamedImages):
        return data
    if isinstance(data, ImageSet):
        return NamedImages(data, tuple(map(str, range(len(data)))), None)
    return load_named(data, size=size, progress=progress)


def _chosen(methods: Sequence[str | DataDetector]) -> list[DataDetector]:
    try:
        return [DataDetector.parse(one) for one in methods or members(DataDetector)]
    except PydanticCustomError as error:
        raise TurncoatError(f"methods: {error.message()}") from None
    except ValidationError as error:
        raise TurncoatError(f"methods: {error.errors()[0]['msg']}") from None


def _rank(one: Evaluated, sample: int) -> float:
    return float((one.scores < one.scores[sample]).double().mean())
