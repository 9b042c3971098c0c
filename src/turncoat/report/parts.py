"""The pieces of a cell's part of the page, and how much one cell may take."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from turncoat.report.images import Pictures
from turncoat.report.record import SampleRecord
from turncoat.report.summary import Estimate

METRICS = {
    "ca": ("Clean accuracy (CA)", "clean images given their class"),
    "asr": ("Attack success (ASR)", "triggered images taken for what the attacker wants, the target's own left out"),
    "natural_asr": ("Natural ASR", "unmodified images that have the trigger by nature, taken for what the attacker wants"),
    "ra": ("Robust accuracy (RA)", "the same images given their true class"),
    "leakage": ("Leakage", "triggered images of other classes called the target"),
}
STEALTH = {
    "psnr": ("PSNR", "dB", "higher is less visible"),
    "ssim": ("SSIM", "", "1 is equal"),
    "linf": ("Largest change of a pixel", "of 255 levels", "lower is less visible"),
    "changed": ("Pixels changed", "", "mean share of an image's pixels, 1 is all"),
}
METHODS = {"victim": "victim", "clean-twin": "clean twin"}


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
    """One metric, victim beside twin, with the difference paired by seed where there are several."""

    name: str
    meaning: str
    victim: Estimate | None
    twin: Estimate | None
    difference: Estimate | None


@dataclass(frozen=True)
class SampleView:
    """One test image with what both networks say of it."""

    record: SampleRecord
    pictures: Pictures


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
