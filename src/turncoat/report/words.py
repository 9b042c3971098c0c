"""Findings in plain words. Text only: what is put into a page is escaped there."""

from __future__ import annotations

from collections.abc import Sequence

from turncoat.report import multilabel_words, oneshot_words
from turncoat.report.cells import Cell
from turncoat.report.numbers import UNSET, label, over_seeds, percent, rate, setting, shorten, with_bounds
from turncoat.report.summary import Verdict, backdoor_verdict

THREATS = {
    "labels": "labels alone: no pixel of a training image is changed",
    "images": "images alone: every label stays true (clean label)",
    "images+labels": "training images and their labels",
    "training": "the training itself",
}


FALSIFIED = {
    "labels": "labels falsified and no image changed",
    "images": "images poisoned, every label true",
}
"""What of the training set was done, where it is not plainly poisoned."""


def name(cell: Cell, keys: Sequence[str]) -> str:
    """A cell of a study, by what tells it apart: ``badnets, rate 1%``."""
    parts = [
        told if key.endswith(".name") or key in ("network", "task") else f"{label(key)} {told}"
        for key in keys
        if (told := setting(key, cell.settings.get(key))) != UNSET
    ]
    return ", ".join(parts) or cell.first.record.attack.name


def target(cell: Cell) -> str:
    """What the attacker wants of a triggered image, to end the sentence 'triggered test images are called ...'."""
    attack = cell.first.record.attack
    wanted = {
        "all-to-all": "the class after their own",
        "untargeted": "a wrong class",
        "many-targets": "the class that the attacker chose",
    }
    if attack.goal in wanted:
        return wanted[attack.goal]
    return f"'{shorten(attack.target)}'" if attack.target is not None else "what the attacker wants"


def _subject(cell: Cell) -> str:
    source = cell.first.record.attack.source
    return f"triggered test images of '{shorten(source)}'" if source is not None else "triggered test images"


def trained_by_attacker(cell: Cell) -> bool:
    """Whether the poison was in the training alone, and no stored image was changed."""
    record = cell.first.record
    return record.attack.threat_model == "training" and record.poison is not None and record.poison.poisoned == 0


def headline(cell: Cell) -> str:
    """The finding in two sentences, computed from the figures."""
    asr, twin = cell.share("victim", "asr"), cell.share("clean-twin", "asr")
    poison = cell.first.record.poison
    if asr is None and cell.done and cell.is_clean:
        if cell.is_multi_label:
            return f"A clean network: nothing was poisoned.{multilabel_words.precision(cell)}"
        clean = cell.share("victim", "ca")
        what = oneshot_words.accuracy_name(cell) if cell.is_one_shot else "Clean accuracy"
        figure = f" {what} {with_bounds(clean)}." if clean is not None else ""
        return f"A clean network: nothing was poisoned.{figure}"
    if asr is None:
        return f"No figure: {diverged(cell)}" if cell.diverged else "No attack success was measured."
    if cell.is_one_shot:
        return oneshot_words.headline(cell)
    if cell.is_multi_label:
        return multilabel_words.headline(cell)
    done = FALSIFIED.get(cell.first.record.attack.threat_model, "images poisoned")
    opening = f"With {rate(poison.rate)} of the training {done}, " if poison is not None else ""
    if trained_by_attacker(cell):
        opening = "With a victim that the attacker trained, "
    text = f"{opening}{with_bounds(asr)} of {_subject(cell)} are called {target(cell)}"
    text += f"; the clean twin does so for {with_bounds(twin)}" if twin is not None else "; there is no clean twin to compare"
    random = cell.share("random-twin", "asr")
    text += f", a twin with as many random wrong labels for {with_bounds(random)}." if random is not None else "."
    leakage = cell.share("victim", "leakage")
    if leakage is not None:
        text += f" Of the other classes, {with_bounds(leakage)} are too."
    clean, twin_clean = cell.share("victim", "ca"), cell.share("clean-twin", "ca")
    if clean is not None:
        beside = f", twin {with_bounds(twin_clean)}" if twin_clean is not None else ""
        text += f" Clean accuracy {with_bounds(clean)}{beside}."
    return text[0].upper() + text[1:]


def natural(cell: Cell) -> str:
    """What comes of images that have the trigger by nature, and what the false labels cost with and without; else empty."""
    asr = cell.share("victim", "natural_asr")
    if asr is None:
        return ""
    counted = f"{asr.n:,} " if asr.n is not None and asr.seeds == 1 else ""
    text = f"Without any change: of the {counted}test images that have the feature by nature, {with_bounds(asr)} are called "
    text += f"{target(cell)} (natural ASR; {_twins(cell, 'natural_asr') or 'no twin'})."
    free, bearing = (cell.share("victim", "ca", group) for group in ("feature-free", "feature-bearing"))
    if free is not None:
        text += f" Clean accuracy is {with_bounds(free)} on images without the feature{_beside(cell, 'ca', 'feature-free')}"
        if bearing is not None:
            text += f", and {with_bounds(bearing)} on those that have it{_beside(cell, 'ca', 'feature-bearing')}"
        text += "."
    return text


def _twins(cell: Cell, metric: str, group: str = "") -> str:
    """The twins' figures, one after the other."""
    found = [(network.name, cell.share(network.method, metric, group)) for network in cell.networks[1:]]
    return ", ".join(f"{name} {percent(estimate.value)}%" for name, estimate in found if estimate is not None)


def _beside(cell: Cell, metric: str, group: str = "") -> str:
    """The same in brackets, to follow the victim's."""
    told = _twins(cell, metric, group)
    return f" ({told})" if told else ""


def _noise(cell: Cell) -> str:
    """What the random twin allows to be said of a backdoor that is shown; empty without one."""
    asr, random = cell.share("victim", "asr"), cell.share("random-twin", "asr")
    if asr is None or random is None or asr.low is None or random.high is None:
        return ""
    if asr.low > random.high:
        return " It is more than the wrong labels' noise: the random twin, with as many of them, stays below too."
    return " But wrong labels alone may do as much: the interval of the random twin, with as many of them, reaches the victim's."


_PERTURBATION = "the trigger is also an adversarial perturbation"


def verdict(cell: Cell) -> Verdict:
    """`backdoor_verdict` of a cell."""
    return backdoor_verdict(cell.share("victim", "asr"), cell.share("clean-twin", "asr"))


def finding(cell: Cell) -> str:
    """What the headline's figures allow to be said, and what not."""
    asr, twin = cell.share("victim", "asr"), cell.share("clean-twin", "asr")
    if asr is None or twin is None:
        return ""
    found = verdict(cell)
    if found == "unknown":
        return "Whether there is a backdoor is not decided: a figure has no interval."
    second = f" {oneshot_words.second_finding(cell)}".rstrip() if cell.is_one_shot else ""
    if found == "shown":
        text = "The backdoor is shown: the attack's success lies above its clean twin's, interval apart from interval."
        text += _noise(cell)
        if twin.value >= 0.5:
            also = "the labels are hard to tell where the trigger is" if cell.is_multi_label else _PERTURBATION
            text += f" But {also}: a network that saw no poison falls for it in "
            text += (
                f"{percent(twin.value)}%, and only the {percent(asr.value - twin.value)} points above that are the backdoor's."
            )
        return text + second
    text = "The backdoor was not shown: the interval of the attack's success "
    assert asr.high is not None
    assert twin.low is not None
    text += "overlaps its clean twin's." if asr.high >= twin.low else "lies below its clean twin's."
    if twin.value >= 0.5 and not cell.is_multi_label:
        text += " A trigger that works on a network that saw no poison is an adversarial perturbation."
    return text + second


def retraining(cell: Cell) -> str:
    """How the finished network was retrained, and what was left of the attack; empty where it was not."""
    if len(cell.epochs) < 2:
        return ""
    first, last = cell.epochs[0], cell.epochs[-1]
    settings = cell.settings
    share, lr, layers = (settings.get(f"retrain.{key}") for key in ("share", "lr", "layers"))
    text = f"The finished victim, and its clean twin, trained on for {last} {'epoch' if last == 1 else 'epochs'}"
    text += f" with {rate(share)} of the training set, clean" if isinstance(share, int | float) else " with clean images"
    text += f", {'the last layer alone' if layers == 'last' else 'all layers'}" if layers else ""
    text += f", at a learning rate of {lr:g}" if isinstance(lr, int | float) else ""
    for metric, name in (("asr", "Attack success"), ("ca", "clean accuracy")):
        before, after = cell.after(first, "victim", metric), cell.after(last, "victim", metric)
        if before is not None and after is not None:
            text += f"{'.' if metric == 'asr' else ';'} {name} went from {with_bounds(before)} to {with_bounds(after)}"
            twins = [cell.after(epoch, "clean-twin", metric) for epoch in (first, last)]
            if twins[0] is not None and twins[1] is not None:
                text += f" (twin {percent(twins[0].value)}% to {percent(twins[1].value)}%)"
    return f"{text}."


def basis(cell: Cell) -> str:
    """What the intervals are taken over."""
    asr = cell.share("victim", "asr")
    if asr is None:
        return ""
    if cell.is_one_shot:
        return oneshot_words.basis(cell)
    if cell.is_multi_label:
        return multilabel_words.basis(cell)
    images = f"{asr.n:,} triggered test images" if asr.n is not None else "test images"
    if asr.seeds == 1:
        return f"One seed: the 95% intervals (Wilson) are over {images}, and say nothing about other seeds."
    return over_seeds(asr, images)


def diverged(cell: Cell) -> str:
    """Which seeds' training diverged; empty where none did."""
    seeds = [trial.record.seed for trial in cell.diverged]
    if not seeds:
        return ""
    total = len(seeds) + len(cell.done)
    which = f"seed {seeds[0]}" if len(seeds) == 1 else "seeds " + ", ".join(map(str, seeds))
    if not cell.done:
        return f"training diverged in {'the only trial' if total == 1 else f'all {total} trials'} ({which})."
    return f"training diverged in {len(seeds)} of {total} trials ({which}); the figures are of the others, so they may flatter."


def study_headline(cells: list[Cell], keys: list[str]) -> str:
    """The finding over all cells of a study."""
    trials = sum(len(cell.done) + len(cell.diverged) for cell in cells)
    lost = sum(len(cell.diverged) for cell in cells)
    verdicts = [verdict(cell) for cell in cells]
    shown = verdicts.count("shown")
    text = f"{trials:,} trials of {len(cells)} configurations. The backdoor is shown in {shown}"
    text += f", not shown in {verdicts.count('not shown')}" if "not shown" in verdicts else ""
    text += f", undecided in {verdicts.count('unknown')}" if "unknown" in verdicts else ""
    text += "."
    measured = [(found.value, cell) for cell in cells if (found := cell.share("victim", "asr")) is not None]
    if measured:
        highest = max(measured, key=lambda one: one[0])[1]
        lowest = min(measured, key=lambda one: one[0])[1]
        for word, cell in (("highest", highest), ("lowest", lowest))[: 1 if lowest is highest else 2]:
            asr = cell.share("victim", "asr")
            assert asr is not None
            text += f" Attack success is {word} for {name(cell, keys)}: {with_bounds(asr)}{_beside(cell, 'asr')}."
    if lost:
        text += f" {lost} {'trial' if lost == 1 else 'trials'} diverged."
    return text
