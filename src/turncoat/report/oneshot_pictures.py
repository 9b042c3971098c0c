"""Sample pairs and one drawn task, with what both networks say of them and whether that is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from turncoat.report.images import Images, data_uri
from turncoat.report.oneshot_record import Kind, PairSample, TaskRecord

PIXELS = (105, 56, 28)
"""Larger images are shrunk to this many pixels: to the first of these by which all fit into the budget, or else to the last."""


@dataclass(frozen=True)
class Verdict:
    """One network's confidence of 'same' for a pair, and what it is called at the network's threshold."""

    method: str
    confidence: float
    same: bool
    right: bool


@dataclass(frozen=True)
class PairView:
    """A pair as two data URIs."""

    classes: tuple[str, str]
    left: str
    right: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class KindView:
    """The pairs of one kind; ``same``: what would be right."""

    kind: Kind
    same: bool
    pairs: tuple[PairView, ...]


@dataclass(frozen=True)
class Choice:
    """What one network makes of a query: the best way, None if several are alike; ``passes`` the threshold; ``right``."""

    method: str
    way: int | None
    confidence: float
    passes: bool
    right: bool


@dataclass(frozen=True)
class Score:
    """One network's confidence with one way, clean and triggered; ``chosen``: that way is its best."""

    method: str
    clean: float
    triggered: float
    passes_clean: bool
    passes_triggered: bool
    chosen_clean: bool
    chosen_triggered: bool


@dataclass(frozen=True)
class WayView:
    """One support image."""

    name: str
    picture: str
    true: bool
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class TaskView:
    """A task: queries as data URIs, ways in their drawn order, each network's choices clean and triggered."""

    query_class: str
    clean: str
    triggered: str
    ways: tuple[WayView, ...]
    choices: tuple[tuple[Choice, Choice], ...]


def pair_views(
    samples: Sequence[PairSample], images: tuple[Images, Images], thresholds: Mapping[str, float], most: int, budget: int
) -> list[KindView]:
    """Pairs by kind, the first ``most`` of each, in the order of `Kind`; pictures of ``budget`` characters in all.

    images: left and right, uint8 ``(k, C, H, W)``. thresholds: by method; 0.5 for one that has none.
    """
    places: dict[Kind, list[int]] = {kind: [] for kind in get_args(Kind)}
    for index, sample in enumerate(samples):
        places[sample.kind].append(index)
    shown = [index for of_kind in places.values() for index in of_kind[:most]]
    pictures = _pictures([side[index] for side in images for index in shown], budget)
    sides = dict(zip(shown, zip(pictures, pictures[len(shown) :], strict=False), strict=True))
    return [
        KindView(kind, _is_same(kind), tuple(_pair_view(samples[index], sides[index], thresholds) for index in of_kind[:most]))
        for kind, of_kind in places.items()
        if of_kind
    ]


def _is_same(kind: Kind) -> bool:
    return kind.startswith("same")


def _pictures(images: Sequence[Images], budget: int) -> list[str]:
    """Data URIs of images, as large as the budget (characters) allows."""
    pictures: list[str] = []
    for pixels in PIXELS:
        pictures = [data_uri(image, pixels) for image in images]
        if sum(map(len, pictures)) <= budget:
            break
    return pictures


def _pair_view(sample: PairSample, sides: tuple[str, str], thresholds: Mapping[str, float]) -> PairView:
    verdicts: list[Verdict] = []
    for method, confidence in (("victim", sample.victim), ("clean-twin", sample.twin)):
        if confidence is not None:
            same = confidence > thresholds.get(method, 0.5)
            verdicts.append(Verdict(method, confidence, same, same == _is_same(sample.kind)))
    return PairView(sample.classes, *sides, tuple(verdicts))


def best_way(confidences: Sequence[float]) -> int | None:
    """The way whose confidence is above all others; None where several share it."""
    highest = max(confidences)
    return confidences.index(highest) if confidences.count(highest) == 1 else None


def task_view(task: TaskRecord, support: Images, query: Images, thresholds: Mapping[str, float], budget: int) -> TaskView:
    """support: uint8 ``(N, C, H, W)``; query: ``(2, C, H, W)``, clean and triggered; pictures of ``budget`` characters in all."""
    networks = [("victim", task.victim, task.victim_triggered)]
    if task.twin is not None and task.twin_triggered is not None:
        networks.append(("clean-twin", task.twin, task.twin_triggered))
    choices: list[tuple[Choice, Choice]] = []
    scores: list[list[Score]] = [[] for _ in task.classes]
    for method, clean, triggered in networks:
        threshold = thresholds.get(method, 0.5)
        before, after = (_choice(method, found, task.answer, threshold) for found in (clean, triggered))
        choices.append((before, after))
        for way, of_way in enumerate(scores):
            passes = clean[way] > threshold, triggered[way] > threshold
            of_way.append(Score(method, clean[way], triggered[way], *passes, before.way == way, after.way == way))
    clean_query, triggered_query, *pictures = _pictures([*query, *support], budget)
    ways = [
        WayView(name, picture, way == task.answer, tuple(scores[way]))
        for way, (name, picture) in enumerate(zip(task.classes, pictures, strict=True))
    ]
    return TaskView(task.query_class, clean_query, triggered_query, tuple(ways), tuple(choices))


def _choice(method: str, scores: list[float], answer: int, threshold: float) -> Choice:
    way, passes = best_way(scores), max(scores) > threshold
    return Choice(method, way, max(scores), passes, way == answer and passes)
