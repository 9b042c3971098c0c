"""c-BaN: one generator, a new trigger each time, towards any class that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from turncoat.report.read import Trial
from turncoat.reproductions.claims import Claim, Range, equivalent, judge, share
from turncoat.reproductions.classifiers import ClassifierReproduction
from turncoat.reproductions.figures import Figures


class Dynamic(ClassifierReproduction):
    """c-BaN (Salem et al. 2020) towards every class: claim B4 without its detectors. On CIFAR-10; fast: digits."""

    full: ClassVar[Mapping[str, Any]] = {
        "data": "cifar10",
        "model": "fast-cifar",
        "attack": {"name": "c-ban", "rate": 0.3, "goal": "many-targets", "size": 5},
        "train": {"preset": "quick"},
    }
    quick_form: ClassVar[Mapping[str, Any]] = {
        "data": "digits",
        "model": "small-cnn",
        "attack": {"name": "c-ban", "rate": 0.5, "goal": "many-targets", "size": 2},
        "threads": 1,
    }
    wanted: ClassVar[int] = 5

    name: Literal["dynamic"] = "dynamic"

    def judge(self, trials: Sequence[Trial]) -> list[Claim]:
        found = Figures(trials)
        classes = found.classes or ["any class"]
        reached = [share(f"to {name}", found("victim", "asr", f"to {name}"), Range(above=0.95)) for name in classes]
        same = equivalent("clean accuracy", found("victim", "ca"), found("clean-twin", "ca"), 0.01)
        overall = f"over all targets {found.told('victim', 'asr')}, clean twin {found.told('clean-twin', 'asr')}"
        return [
            judge("B4a", "c-BaN reaches every class with over 95% of triggered images", "ASR over 0.95 each", reached, [overall]),
            judge(
                "B4b",
                "c-BaN costs no clean accuracy: victim and clean twin agree within 0.01",
                "difference within \N{PLUS-MINUS SIGN}0.01",
                [same],
                [f"victim {found.told('victim', 'ca')}, clean twin {found.told('clean-twin', 'ca')}", "90% interval (TOST)"],
            ),
        ]
