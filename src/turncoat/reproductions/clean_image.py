"""Clean-image: labels alone are falsified, and nature has the trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from turncoat.report.read import Trial
from turncoat.reproductions.claims import Claim, Range, difference, judge, share
from turncoat.reproductions.classifiers import ClassifierReproduction
from turncoat.reproductions.figures import Figures


class CleanImage(ClassifierReproduction):
    """Labels alone (Rong et al. 2024), our feature search: claims R1 to R3. On CIFAR-10; fast: digits, one feature."""

    full: ClassVar[Mapping[str, Any]] = {
        "data": "cifar10",
        "model": "fast-cifar",
        "attack": {"name": "clean-image", "rate": 0.05, "feature": "best", "bound": {"norm": "linf", "size": 16}, "reach": 0.1},
        "train": {"preset": "quick"},
    }
    quick_form: ClassVar[Mapping[str, Any]] = {
        "data": "digits",
        "model": "small-cnn",
        "attack": {
            "name": "clean-image",
            "rate": 0.1,
            "feature": "contrast:low",
            "bound": {"norm": "linf", "size": 64},
            "reach": 0.1,
        },
        "threads": 1,
    }
    wanted: ClassVar[int] = 3

    name: Literal["clean-image"] = "clean-image"

    def judge(self, trials: Sequence[Trial]) -> list[Claim]:
        found = Figures(trials)
        natural, bearing = found("victim", "natural_asr"), found("victim", "ca", "feature-bearing")
        by_change = difference("by change", found("victim", "asr"), found("random-twin", "asr"), Range(above=0.2))
        by_nature = difference("by nature", natural, found("random-twin", "natural_asr"), Range(above=0.2))
        falls = difference("feature-bearing", bearing, found("clean-twin", "ca", "feature-bearing"), Range(below=0))
        bears = found.told("victim", "ca", "feature-bearing")
        free, free_twin = (found.told(method, "ca", "feature-free") for method in ("victim", "clean-twin"))
        return [
            judge(
                "R1",
                "With labels alone falsified, triggered images become the target over 20 points more often than on a network "
                "with as many random wrong labels",
                "difference over 0.20",
                [by_change],
                [f"random twin {found.told('random-twin', 'asr')}", f"natural images too: {by_nature.verdict}"],
            ),
            judge(
                "R2",
                "Natural images that have the feature, unmodified, are called the target in over 70%",
                "share over 0.70",
                [share("", natural, Range(above=0.7))],
                [f"clean twin {found.told('clean-twin', 'natural_asr')}, random twin {found.told('random-twin', 'natural_asr')}"],
            ),
            judge(
                "R3",
                "Accuracy on images that have the feature falls below the clean twin's",
                "difference under 0",
                [falls],
                [f"feature-bearing {bears}; feature-free {free}, clean twin {free_twin}"],
            ),
        ]
