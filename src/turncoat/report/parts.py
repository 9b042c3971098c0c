"""The pieces of a cell's part of the page, and how much one cell may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from turncoat.report.record import NaturalRecord, SampleRecord
from turncoat.report.summary import Estimate

if TYPE_CHECKING:
    from turncoat.report.images import Pictures

METRICS = {
    "ca": ("Clean accuracy (CA)", "clean images given their class"),
    "asr": ("Attack success (ASR)", "triggered images taken for what the attacker wants, the target's own left out"),
    "natural_asr": ("Natural ASR", "unmodified images that have the trigger by nature, taken for what the attacker wants"),
    "ra": ("Robust accuracy (RA)", "the same images given their true class"),
    "leakage": ("Leakage", "triggered images of other classes called the target"),
    "cross_accuracy": ("Cross-trigger accuracy", "images with another image's trigger given their true class"),
}
FEATURED = {
    ("ca", "feature-free"): ("CA without the feature", "clean images that do not have the trigger by nature"),
    ("ca", "feature-bearing"): ("CA with the feature", "clean images that have it by nature"),
}
"""Clean accuracy by group, where images have the trigger by nature."""
SHORT = {"map": "mAP", "leakage": "Leakage", "natural_asr": "Natural ASR", "cross_accuracy": "Cross-trigger"}
"""Heads of columns, where they are not the metric in capitals."""


@dataclass(frozen=True)
class Network:
    """A network that figures are of: its method in the rows, its name, and the colour class and shape of its marks."""

    method: str
    name: str
    style: str
    shape: int

    @property
    def title(self) -> str:
        """The name as a heading."""
        return self.name.capitalize()


VICTIM = Network("victim", "victim", "v", 0)
CLEAN_TWIN = Network("clean-twin", "clean twin", "t", 1)
RANDOM_TWIN = Network("random-twin", "random twin", "r", 2)
ALONE = Network("victim", "clean network", "k", 0)
"""That of a trial without an attack, whose rows stand where a victim's would."""
METHODS = {network.method: network.name for network in (VICTIM, CLEAN_TWIN)}


def short(metric: str) -> str:
    """A metric as the head of a column."""
    return SHORT.get(metric, metric.upper())


@dataclass(frozen=True)
class Limits:
    """How much one cell may take, so that a page over many stays small."""

    image_budget: int
    samples: int
    whole: int
    classes: int

    @staticmethod
    def of(cells: int) -> Limits:
        """For a page over so many cells."""
        few = 24 if cells == 1 else 12 if cells <= 6 else 6
        return Limits(5_000_000 // cells, few, max(few // 4, 2), max(20, 4000 // cells))


@dataclass(frozen=True)
class FigureRow:
    """One metric, a figure a network in the cell's order, with victim minus twin paired by seed where there are several."""

    name: str
    meaning: str
    found: tuple[Estimate | None, ...]
    difference: Estimate | None

    @property
    def any(self) -> Estimate | None:
        return next((estimate for estimate in self.found if estimate is not None), None)


@dataclass(frozen=True)
class SampleView:
    """One test image with what the networks say of it, clean and triggered."""

    record: SampleRecord
    pictures: Pictures


@dataclass(frozen=True)
class NaturalView:
    """One unchanged test image that has the trigger by nature, as a data URI, with what the networks say of it."""

    record: NaturalRecord
    picture: str


@dataclass(frozen=True)
class Chart:
    """A drawn figure and its caption."""

    caption: str
    svg: Markup


@dataclass(frozen=True)
class CostRow:
    """Seconds and peak memory (MB) of one stage."""

    name: str
    seconds: Estimate | None
    memory: Estimate | None
