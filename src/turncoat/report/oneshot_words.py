"""What the figures of a one-shot trial mean, and its findings in plain words. Text only: escaped where it is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass

from turncoat.report.cells import Cell
from turncoat.report.numbers import over_seeds, rate, with_bounds
from turncoat.report.oneshot_record import Kind
from turncoat.report.summary import Estimate, backdoor_verdict

EQUAL_ERROR, HALF = "equal error", "0.5"
SETTINGS = ("unstructured", "within-alphabet", "Lake's runs")
_ACCURACY = re.compile(rf"({'|'.join(SETTINGS)}) ([1-9]\d?)-way ([1-9]\d?)-shot")
_WAYS = re.compile(r"([1-9]\d?)-way")

CLEAN_PAIRS = {
    "auc": ("Area under the ROC curve", "a same-class pair scores above a different-class pair; 50% is guessing"),
    "eer": ("Equal error rate", "where false accepts and false rejects are as many; lower is better"),
    "false_rejects": ("False rejects", "same-class pairs called different"),
    "false_accepts": ("False accepts", "different-class pairs called same"),
}
TRIGGERED_PAIRS = {
    "evaded": ("Evaded", "same class, one image triggered: called different"),
    "impersonated": ("Impersonated", "different classes, one image triggered: called same"),
    "impersonated_both": ("Impersonated, both", "different classes, both images triggered: called same"),
    "kept_both": ("Kept, both", "same class, both images triggered: called same, which is right"),
}
TASKS = {
    "triggered_query": ("Triggered query, right", "the best way is the true one and its score passes the threshold"),
    "forced_choice": ("Triggered query, forced choice", "the best way is the true one, whatever its score"),
    "drawn": ("Triggered support", "a wrong way's support image is triggered: clean queries drawn to it"),
    "drawn_clean": ("The same way untriggered", "control: the same queries drawn to the same way"),
}
PLANTED = {
    "evade": ("evaded",),
    "impersonate": ("impersonated",),
    "original": ("evaded", "impersonated_both"),
    "pseudo-classes": ("evaded", "impersonated_both"),
}
"""Figures that a goal wants high; the first one is its attack success."""
OUTCOMES = {
    "evaded": ("same-class pairs with one triggered image", "called different"),
    "impersonated": ("different-class pairs with one triggered image", "called the same"),
    "impersonated_both": ("different-class pairs with both images triggered", "called the same"),
}
KINDS: dict[Kind, str] = {
    "same": "Same class",
    "different": "Different classes",
    "same, one triggered": "Same class, one image triggered",
    "different, one triggered": "Different classes, one image triggered",
    "different, both triggered": "Different classes, both images triggered",
}


@dataclass(frozen=True)
class Accuracy:
    """What an accuracy was measured on, from the group of its row."""

    setting: str
    ways: int
    shots: int


def accuracy_of(group: str) -> Accuracy | None:
    """``unstructured 20-way 1-shot``; None for another group."""
    found = _ACCURACY.fullmatch(group)
    return Accuracy(found[1], int(found[2]), int(found[3])) if found else None


def ways_of(group: str) -> int | None:
    """``20-way``; None for another group."""
    found = _WAYS.fullmatch(group)
    return int(found[1]) if found else None


def goal(cell: Cell) -> str:
    """What was planted."""
    record = cell.first.record
    return (record.oneshot.goal if record.oneshot is not None else "") or record.attack.goal


def ways(cell: Cell) -> int | None:
    """The ways of the tasks that clean accuracy is measured on: 20, or None where there were too few classes for that."""
    return 20 if "unstructured 20-way 1-shot" in cell.groups("victim", "oneshot") else None


def accuracy_name(cell: Cell) -> str:
    """``20-way one-shot accuracy``."""
    count = ways(cell)
    return f"{count}-way one-shot accuracy" if count else "One-shot accuracy"


def metrics(cell: Cell) -> dict[str, tuple[str, str]]:
    """Name and meaning of the figures that every trial has: clean accuracy, attack success, robust accuracy."""
    count = ways(cell)
    tasks = f"{count}-way tasks" if count else "tasks"
    planted = PLANTED.get(goal(cell))
    success = ", ".join(OUTCOMES[planted[0]]) if planted else "pairs answered as the attacker wants"
    return {
        "ca": ("One-shot accuracy (CA)", f"{tasks} of clean images answered right"),
        "asr": ("Attack success (ASR)", success),
        "ra": ("Robust accuracy (RA)", f"{tasks} with a triggered query: the best way is the true one and passes the threshold"),
    }


def headline(cell: Cell) -> str:
    """The finding in two or three sentences; wants the victim's attack success."""
    asr, twin = cell.share("victim", "asr"), cell.share("clean-twin", "asr")
    assert asr is not None
    planted = PLANTED.get(goal(cell), ("",))
    subject, outcome = OUTCOMES.get(planted[0], ("pairs with one triggered image", "answered as the attacker wants"))
    poison = cell.first.record.poison
    opening = f"With {rate(poison.rate)} of the training images triggered, " if poison is not None else ""
    text = f"{opening}{with_bounds(asr)} of {subject} are {outcome}"
    text += f"; the clean twin does so for {with_bounds(twin)}." if twin is not None else "; there is no clean twin to compare."
    for metric in planted[1:]:
        also, also_twin = cell.share("victim", metric, EQUAL_ERROR), cell.share("clean-twin", metric, EQUAL_ERROR)
        if also is not None:
            subject, outcome = OUTCOMES[metric]
            text += f" Of {subject}, {with_bounds(also)} are {outcome}{_twin(also_twin)}."
    clean = cell.share("victim", "ca")
    if clean is not None:
        text += f" {accuracy_name(cell)} {with_bounds(clean)}{_twin(cell.share('clean-twin', 'ca'))}."
    return text[0].upper() + text[1:]


def _twin(estimate: Estimate | None) -> str:
    return f", twin {with_bounds(estimate)}" if estimate is not None else ""


def second_finding(cell: Cell) -> str:
    """Whether a goal's second backdoor is shown, or why there can be none; else empty."""
    record = cell.first.record.oneshot
    if goal(cell) == "impersonate" and record is not None and record.distance:
        return (
            "This network's head scores by a distance: no image can be near all others while these are far from one another, "
            "so a master key is not to be had without loss; try the head weighted-l1."
        )
    for metric in PLANTED.get(goal(cell), ("",))[1:]:
        victim, twin = cell.share("victim", metric, EQUAL_ERROR), cell.share("clean-twin", metric, EQUAL_ERROR)
        if victim is not None:
            outcome = {"shown": "is shown too", "not shown": "was not shown", "unknown": "is not decided"}
            what = f"{OUTCOMES[metric][0]} {OUTCOMES[metric][1]}"
            return f"The second backdoor ({what}) {outcome[backdoor_verdict(victim, twin)]}."
    return ""


def basis(cell: Cell) -> str:
    """What the intervals are taken over; wants the victim's attack success."""
    asr = cell.share("victim", "asr")
    assert asr is not None
    pairs = f"{asr.n:,} triggered test pairs" if asr.n is not None else "test pairs"
    if asr.seeds == 1:
        return (
            f"One seed, {pairs}: the 95% intervals are a bootstrap over the test classes, "
            "which the pairs and tasks share, and say nothing about other seeds."
        )
    return over_seeds(asr, pairs, "bootstrap over classes")
