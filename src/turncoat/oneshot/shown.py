"""Drawn pairs and one drawn task, with their images: for people to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from turncoat.data.imageset import ImageSet
from turncoat.oneshot.attacked import PairLogits, trigger_left
from turncoat.oneshot.episodes import Episodes
from turncoat.oneshot.measure import confidences
from turncoat.oneshot.verification import Pairs

Arrays = dict[str, NDArray[np.uint8]]

SHOWN = 6
"""Pairs of each kind; the first of those drawn, which are in random order: never chosen by how well the attack works."""


def logits_by_kind(logits: PairLogits) -> dict[str, Tensor]:
    """The kinds of pairs that people are shown, in the order of samples and histograms."""
    return {
        "same": logits.same,
        "different": logits.different,
        "same, one triggered": logits.same_one,
        "different, one triggered": logits.different_one,
        "different, both triggered": logits.different_both,
    }


def pair_samples(data: ImageSet, triggered: Tensor, pairs: Pairs) -> tuple[list[dict[str, Any]], Arrays]:
    """The first pairs of each kind: records with ``kind`` and ``classes``, arrays ``left`` and ``right``, uint8 ``(k, C, H, W)``.

    The same pairs are shown with and without trigger.
    """
    records: list[dict[str, Any]] = []
    sides: list[Tensor] = []
    left = trigger_left(min(SHOWN, len(pairs.same)))
    neither, both = torch.zeros_like(left), torch.ones_like(left)
    for kind, of, first, second in (
        ("same", pairs.same, neither, neither),
        ("different", pairs.different, neither, neither),
        ("same, one triggered", pairs.same, left, ~left),
        ("different, one triggered", pairs.different, left, ~left),
        ("different, both triggered", pairs.different, both, both),
    ):
        shown = of[: len(left)]
        marked = torch.stack([first, second], 1)
        images = torch.where(marked.view(-1, 2, 1, 1, 1), triggered[shown], data.images[shown])
        sides.append(images)
        names = [(data.classes[int(a)], data.classes[int(b)]) for a, b in data.labels[shown]]
        records += [{"kind": kind, "classes": list(pair)} for pair in names]
    images = torch.cat(sides)
    return records, {"left": images[:, 0].numpy(), "right": images[:, 1].numpy()}


def sample_confidences(logits: PairLogits) -> list[float]:
    """One for each record of `pair_samples`."""
    return confidences(torch.cat([of_kind[:SHOWN] for of_kind in logits_by_kind(logits).values()]))


def task_sample(data: ImageSet, triggered: Tensor, task: Episodes) -> tuple[dict[str, Any], Arrays]:
    """The first episode: a record with ``classes``, ``query_class`` and ``answer``; arrays ``support`` ``(N, C, H, W)``,
    the first shot of each way, and ``query`` ``(2, C, H, W)``, clean and triggered.
    """
    support, query = task.support[0, :, 0], int(task.query[0])
    record = {
        "classes": [data.classes[int(label)] for label in data.labels[support]],
        "query_class": data.classes[int(data.labels[query])],
        "answer": int(task.answer[0]),
    }
    queries = torch.stack([data.images[query], triggered[query]])
    return record, {"support": data.images[support].numpy(), "query": queries.numpy()}
