"""`audit_model`: is this model backdoored, towards which class, by what trigger?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch

from turncoat.audit.calibrate import probability
from turncoat.audit.references import References, class_effect_p
from turncoat.audit.suited import suited
from turncoat.audit.verdict import Verdict, judge
from turncoat.component import members
from turncoat.data.imageset import ImageSet
from turncoat.detect.models.base import Finding, ModelDetector, Suspect, Trigger
from turncoat.detect.models.siamese_trigger import ANSWERS, examine_siamese
from turncoat.errors import TurncoatError
from turncoat.intake.model import Opened
from turncoat.intake.preprocessing import Check, check_preprocessing
from turncoat.intake.statefile import first_line
from turncoat.oneshot.siamese import Siamese
from turncoat.progress import Progress, silent
from turncoat.seeds import generator
from turncoat.train.placement import Placement, place, to_device

_MOST = 1000
"""Clean images that the methods work on; the accuracy is measured on all."""
_OTHER_PIXELS = "not judged, as clean models look backdoored given other pixels than in training; see --mean, --std, --shape"
_UNSEEN = (
    "without clean images it cannot be seen whether --mean, --std and --input-range are those of its training; with others, "
    "a clean model may look backdoored"
)


@dataclass(frozen=True, eq=False)
class ModelAudit:
    """What an audit of a model came to.

    findings: by method, in the order in which they ran; p_values: theirs before correction. refused: by method, why it could not
    look into this model. probability: of a backdoor, calibrated on attack families that the docs name. accuracy: on the clean
    images, None without any. notes: what the reader should know, such as a suspicion of wrong preprocessing.
    """

    source: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    alpha: float
    verdict: Verdict
    probability: float | None
    findings: Mapping[str, Finding]
    p_values: Mapping[str, float]
    refused: Mapping[str, str]
    accuracy: Check | None
    clean: ImageSet | None
    notes: tuple[str, ...]
    references: int
    seconds: float

    @property
    def passes(self) -> int:
        """Images that went through the network, forward and backward counted as one."""
        return sum(finding.passes for finding in self.findings.values())

    @property
    def recovered(self) -> Finding | None:
        """The finding whose trigger is shown: the most certain method's, else one of a method that suspects the same class."""
        first = self.findings[self.verdict.best]
        alike = [finding for finding in self.findings.values() if finding.target == first.target]
        return next((finding for finding in (first, *alike) if finding.trigger is not None), None)

    @property
    def trigger(self) -> Trigger | None:
        """The recovered trigger."""
        return None if self.recovered is None else self.recovered.trigger

    def class_name(self, index: int | None) -> str | None:
        """A class by name; of a Siamese network, the answer that the trigger forces."""
        return None if index is None else self.classes[index]


def audit_model(
    model: Opened,
    clean: ImageSet | None = None,
    *,
    methods: Sequence[str] | None = None,
    alpha: float = 0.01,
    references: References | None = None,
    seed: int = 0,
    placement: Placement | None = None,
    notes: Sequence[str] = (),
    progress: Progress = silent,
) -> ModelAudit:
    """Examine a model by all methods that it and the clean images allow, or by those named.

    Without clean images by those that need none; with them, without those that would add little (``beside_others``).

    clean: images that are trusted, their classes those of the model; without any, the data-free methods alone.
    references: clean models to take the p-values from; by default each method's own, from the model's classes and starts.
    Raises `TurncoatError` for methods that are not known or need images, where no method can look into the model, and where it
    seems to get other pixels than in its training: clean networks look backdoored then.
    """
    started = time.perf_counter()
    placement = placement or place()
    if not 0 < alpha < 1:
        raise TurncoatError(f"alpha: expected a probability between 0 and 1, got {alpha}")
    one_shot = isinstance(model.network, Siamese)
    detectors = () if one_shot else _detectors(methods, clean)
    to_device(model.network, placement)
    used = None if clean is None else _balanced(clean, _MOST, seed)
    if not one_shot:
        placement, slow = suited(model.network, model.shape, used, placement)
        notes = (*notes, slow) if slow else notes
    suspect = Suspect(model.network, model.shape, ANSWERS if one_shot else model.classes, used, placement, seed)
    accuracy = None
    if clean is not None and not one_shot:
        accuracy = check_preprocessing(model.network, clean, placement, model.bare, seed)
        if accuracy.strange and model.bare is not None:
            raise TurncoatError(f"{_OTHER_PIXELS}: {accuracy.warning}")
        notes = (*notes, accuracy.warning) if accuracy.warning else notes
    elif model.bare is not None:
        notes = (*notes, _UNSEEN)
    findings, refused = _siamese(suspect) if one_shot else _examined(suspect, detectors, progress)
    p_values = {name: finding.p_value for name, finding in findings.items()}
    if references is not None:
        for detector in detectors:
            if detector.name in findings:
                p_values[detector.name] = class_effect_p(findings[detector.name], detector, suspect, references)
    return ModelAudit(
        source=model.source,
        classes=suspect.classes,
        shape=model.shape,
        alpha=alpha,
        verdict=judge(findings, p_values, alpha),
        probability=None if one_shot else probability(findings),
        findings=findings,
        p_values=p_values,
        refused=refused,
        accuracy=accuracy,
        clean=used,
        notes=tuple(dict.fromkeys((*model.notes, *notes))),
        references=references.count if references else 0,
        seconds=time.perf_counter() - started,
    )


def _examined(
    suspect: Suspect, detectors: Sequence[ModelDetector], progress: Progress
) -> tuple[dict[str, Finding], dict[str, str]]:
    findings, refused = dict[str, Finding](), dict[str, str]()
    for done, detector in enumerate(detectors):
        progress(detector.name, done, len(detectors))
        try:
            findings[detector.name] = detector.examine(suspect)
        except TurncoatError as error:
            refused[detector.name] = str(error)
        except Exception as error:  # noqa: BLE001 - whatever someone's network raises on images of the method's making
            refused[detector.name] = f"{detector.name}: the network fails: {type(error).__name__}: {first_line(error)}"
    if not findings:
        raise TurncoatError("\n".join(("no method can look into this model:", *refused.values())))
    return findings, refused


def _siamese(suspect: Suspect) -> tuple[dict[str, Finding], dict[str, str]]:
    network = suspect.network
    assert isinstance(network, Siamese)
    if suspect.clean is None:
        raise TurncoatError("a Siamese network is examined with pairs of clean images; give --clean DIR")
    return {"siamese-trigger": examine_siamese(network, suspect.clean, suspect.placement, suspect.seed)}, {}


def _detectors(methods: Sequence[str] | None, clean: ImageSet | None) -> list[ModelDetector]:
    known = members(ModelDetector)
    if methods is None:
        return [
            ModelDetector.parse(name)
            for name, found in known.items()
            if (found.beside_others if clean is not None else not found.needs_images)
        ]
    unknown = [name for name in methods if name not in known]
    if unknown or not methods:
        raise TurncoatError(f"--methods: expected some of {', '.join(known)}, got {', '.join(unknown) or 'none'}")
    chosen = [ModelDetector.parse(name) for name in methods]
    lacking = [one.name for one in chosen if one.needs_images and clean is None]
    if lacking:
        raise TurncoatError(f"--methods: {', '.join(lacking)} need clean images; give --clean DIR")
    return chosen


def _balanced(clean: ImageSet, most: int, seed: int) -> ImageSet:
    """At most so many images, of all classes alike where it can be."""
    if len(clean) <= most:
        return clean
    order = torch.randperm(len(clean), generator=generator(seed, "detect"))
    labels = clean.labels[order]
    rank = torch.zeros_like(labels)
    for label in cast("list[int]", labels.unique().tolist()):
        own = labels == label
        rank[own] = torch.arange(int(own.sum()))
    return clean.subset(order[rank.argsort(stable=True)[:most]].sort().values)
