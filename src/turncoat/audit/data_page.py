"""What a data set's audit found, in words and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from turncoat.audit.data import DataAudit
from turncoat.report.blocks import Bars, Block, Facts, Picture, Pictures, Table, Text
from turncoat.report.numbers import duration, percent
from turncoat.report.sheet import Lead, Sheet

_TOP = 50
"""Listed where nothing stands out, as what ranks first all the same."""
_SHOWN, _COMPARED = 60, 20
_UNDER = "Under each: its file; its label, and the likely one where it differs; the score."


def listed(audit: DataAudit) -> Tensor:
    """int64: the samples to look at, the most suspicious first; where nothing stands out, the first 50 of the ranking."""
    count = max(audit.to_inspect, len(audit.suspects)) if audit.combined.stands_out else min(_TOP, len(audit.names))
    return audit.ranking[:count]


def lead(audit: DataAudit) -> str:
    """The finding in a sentence or two."""
    total = len(audit.names)
    if not audit.combined.stands_out:
        return f"Nothing stands out among {total:,} images and their labels."
    kinds = {method.looks_for for method in audit.combined.told}
    what = (
        "images look poisoned"
        if kinds == {"images"}
        else "labels look false"
        if kinds == {"labels"}
        else "images look poisoned or mislabelled"
    )
    counts = by_class(audit, audit.suspects)
    most = max(range(len(counts)), key=counts.__getitem__)
    if counts[most] < sum(counts) / 2:
        where = f", in {sum(map(bool, counts))} classes"
    else:
        where = f", {'all' if counts[most] == sum(counts) else 'most'} of them in class '{audit.data.classes[most]}'"
    return (
        f"About {audit.estimated:,} of {total:,} {what} ({percent(audit.estimated / total)}%){where if sum(counts) else ''}. "
        f"The first {audit.to_inspect:,} of the list should hold 95% of them."
    )


def why(audit: DataAudit) -> str:
    """What the methods that found something say of a suspect; empty where nothing stands out."""
    said = list(dict.fromkeys(method.says for method in audit.combined.told))
    return f"Why: {'; '.join(said)}." if said else ""


def class_rows(audit: DataAudit) -> list[tuple[str, int, int, int, str]]:
    """Class, images, suspects, expected poison, and the methods in which it stands out."""
    combined, labels = audit.combined, audit.data.labels
    every, suspects = by_class(audit, torch.arange(len(labels))), by_class(audit, audit.suspects)
    sums = torch.zeros(len(every), dtype=torch.float64).index_add_(0, labels, combined.probability)
    expected = cast(list[float], sums.tolist())
    return [
        (
            name,
            every[label],
            suspects[label],
            round(expected[label]),
            ", ".join(one.method.name for one in combined.evaluated if label in one.classes),
        )
        for label, name in enumerate(audit.data.classes)
    ]


def by_class(audit: DataAudit, samples: Tensor) -> list[int]:
    """How many of the samples each class has."""
    return cast(list[int], torch.bincount(audit.data.labels[samples], minlength=len(audit.data.classes)).tolist())


def sheet(audit: DataAudit, name: str) -> Sheet:
    """The page."""
    blocks: list[Block] = []
    title = "The first suspects" if audit.combined.stands_out else "What ranks first all the same"
    chosen = cast(list[int], listed(audit)[:_SHOWN].tolist())
    blocks.append(Pictures([_picture(audit, i) for i in chosen], f"{why(audit)} {_UNDER}".strip(), title))
    if audit.combined.stands_out:
        blocks += _comparison(audit)
    blocks.append(
        Table(
            ("class", "images", "suspects", "expected poison", "found by"),
            class_rows(audit),
            "Suspects are more likely poisoned than not; the expected poison is the sum of the probabilities.",
            "Classes",
        )
    )
    blocks.append(
        Table(
            ("method", "looks for", "finds some in", "expected poison", "seconds"),
            [
                (
                    one.method.name,
                    one.method.looks_for,
                    _where(audit, one.classes),
                    round(one.estimated),
                    round(audit.methods[one.method.name], 1),
                )
                for one in audit.combined.evaluated
            ],
            "Images are compared with those of the other classes, labels with what networks that never saw the image say. "
            "Several methods may find the same poison: their numbers do not add up.",
            "Methods",
        )
    )
    if audit.annotators:
        blocks += _annotators(audit)
    facts = [
        ("images", f"{len(audit.names):,}"),
        ("suspects", f"{len(audit.suspects):,}"),
        ("clean among them, about", f"{percent(audit.false_discovery_rate)}%"),
        ("to look at for 95% of the poison", f"{audit.to_inspect:,}"),
        ("seconds", duration(audit.seconds)),
        *((f"of these, {what}", duration(seconds)) for what, seconds in audit.shared.items()),
    ]
    blocks.append(Facts(facts, "Figures"))
    blocks.append(
        Text(
            [
                "An estimate is no proof: look at the suspects. All of them, with the reasons, are in suspects.csv.",
                "scores.csv has the scores of all images. With --drop the set is written without the suspects.",
                "Poison that is no more frequent in its class than natural oddities are in other classes is not found.",
            ],
            quiet=True,
        )
    )
    tone = "bad" if audit.combined.stands_out else "good"
    return Sheet(f"Audit of the data set {name}", Lead(lead(audit), tone), blocks)


def _picture(audit: DataAudit, sample: int) -> Picture:
    given, likely = int(audit.data.labels[sample]), int(audit.likely[sample])
    names = audit.data.classes
    other = "" if likely == given else f", likely {names[likely]}"
    name = audit.names[sample].rpartition("/")[2]
    return Picture(audit.data.images[sample].numpy(), name, f"{names[given]}{other}; {float(audit.scores[sample]):.3f}")


def _comparison(audit: DataAudit) -> list[Block]:
    """Images of the class with the most suspects that are among the least suspicious."""
    counts = by_class(audit, audit.suspects)
    label = max(range(len(counts)), key=counts.__getitem__)
    own = audit.ranking[audit.data.labels[audit.ranking] == label]
    last = cast(list[int], own[max(counts[label], len(own) - _COMPARED) :].tolist())
    title = f"For comparison: unsuspicious images of class '{audit.data.classes[label]}'"
    return [Pictures([_picture(audit, i) for i in last], "", title)] if last else []


def _where(audit: DataAudit, found: Sequence[int]) -> str:
    names = [f"class '{audit.data.classes[label]}'" for label in found if label >= 0]
    return ", ".join((["labels of all classes"] if -1 in found else []) + names) or "none"


def _annotators(audit: DataAudit) -> list[Block]:
    rows = [
        (one.name, one.images, one.suspects, f"{one.suspects / one.images:.1%} [{one.low:.1%}, {one.high:.1%}]", one.p_value)
        for one in audit.annotators
    ]
    return [
        Table(
            ("annotator", "images", "suspects", "share, 95% interval", "p-value"),
            rows,
            "p-value: that the annotator has no more suspects than the others (Fisher's test, Holm's correction).",
            "Annotators",
        ),
        Bars(
            [one.name for one in audit.annotators], [one.suspects / one.images for one in audit.annotators], "Share of suspects"
        ),
    ]
