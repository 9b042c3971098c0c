"""What the figures of a multi-label trial mean, and its findings in plain words. Text only: escaped where it is shown."""

from __future__ import annotations

from turncoat.report.cells import Cell
from turncoat.report.numbers import over_seeds, rate, shorten, with_bounds

METRICS = {
    "map": ("Mean average precision (mAP)", "over classes; average precision ranks all test images by the class's confidence"),
    "asr": ("Attack success (ASR)", "images with the trigger, unchanged, whose labels come out as the attacker wants"),
    "leakage": ("Leakage", "the same of images without the trigger: what the attack spoils beside its aim"),
    "ca": ("Exact match (CA)", "test images all of whose labels are right"),
    "cf1": ("CF1", "harmonic mean of precision and recall, each averaged over classes"),
    "of1": ("OF1", "the same over all labels of all images together"),
}
GROUPS = {
    ("map", "trigger-free"): ("mAP without the trigger", "test images that do not show all labels of the trigger"),
    ("map", "trigger-bearing"): ("mAP with the trigger", "test images that do; over the classes that only some of them show"),
}
"""Figures on a part of the test images."""


def trigger(cell: Cell) -> str:
    """``'cat' and 'dog'``."""
    record = cell.first.record.multilabel
    names = [f"'{shorten(name)}'" for name in record.trigger] if record is not None else []
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names) or "the trigger"


def _outcome(cell: Cell) -> tuple[str, str]:
    """What happens to the labels, and to which images beside those that show the trigger."""
    attack = cell.first.record.attack
    target, source = (f"'{shorten(name)}'" if name is not None else "the label" for name in (attack.target, attack.source))
    outcomes = {
        "disappear": (f"{target} is not seen in", ""),
        "appear": (f"{target} is seen in", f" and not {target}"),
        "misclassify": (f"{source} is taken for {target} in", f" and not {target}"),
    }
    return outcomes.get(attack.goal, ("labels come out as the attacker wants in", ""))


def headline(cell: Cell) -> str:
    """The finding in a few sentences; wants the victim's attack success."""
    asr = cell.share("victim", "asr")
    assert asr is not None
    poison = cell.first.record.poison
    opening = f"With {rate(poison.rate)} of the training images under false labels and none changed, " if poison else ""
    outcome, but = _outcome(cell)
    text = f"{opening}{outcome} {with_bounds(asr)} of the test images that show {trigger(cell)}{but}"
    twins = [
        f"{what} {with_bounds(found)}"
        for method, what in (("clean-twin", "the clean twin"), ("random-twin", "a twin with as many random wrong labels"))
        if (found := cell.share(method, "asr")) is not None
    ]
    text += f" ({', '.join(twins) or 'there is no clean twin to compare'})."
    leakage, twin = cell.share("victim", "leakage"), cell.share("clean-twin", "leakage")
    if leakage is not None:
        text += f" On images without the trigger it is so in {with_bounds(leakage)}{_twin(twin and with_bounds(twin))}."
    text += precision(cell)
    return text[0].upper() + text[1:]


def precision(cell: Cell) -> str:
    """mAP of the victim beside its twin's; empty where there is none."""
    found, twin = cell.share("victim", "map"), cell.share("clean-twin", "map")
    return f" mAP {with_bounds(found)}{_twin(twin and with_bounds(twin))}." if found is not None else ""


def _twin(told: str | None) -> str:
    return f", twin {told}" if told else ""


def basis(cell: Cell) -> str:
    """What the intervals are taken over; wants the victim's attack success."""
    asr = cell.share("victim", "asr")
    assert asr is not None
    images = f"{asr.n:,} test images with the trigger" if asr.n is not None else "test images with the trigger"
    if asr.seeds == 1:
        return f"One seed: the 95% intervals (Wilson over {images}; mAP and F1: bootstrap) say nothing about other seeds."
    return over_seeds(asr, images)
