"""`measure_clean`: accuracy in N-way tasks and in verification, as rows, and what the page draws, as JSON values."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from turncoat.data.oneshot import OneShotData
from turncoat.evaluate.rows import Row
from turncoat.oneshot.bootstrap import Figure, share_interval, verification_intervals
from turncoat.oneshot.neighbours import pixel_neighbour
from turncoat.oneshot.plan import EpisodeSettings, Plan, draw_plan, group
from turncoat.oneshot.score import episode_logits, pair_logits, right, run_logits
from turncoat.oneshot.scorer import Scorer
from turncoat.oneshot.verification import called_different, called_same, curve, equal_error_threshold, thin_roc

EDGES = [round(step / 20, 2) for step in range(21)]
"""Of the histograms of confidences."""

Parts = dict[str, Any]
"""Plain JSON values: the ``oneshot`` part of a ``trial.json``, or some of it."""


def measure_clean(
    scorers: Mapping[str, Scorer], data: OneShotData, settings: EpisodeSettings, seed: int
) -> tuple[list[Row], Parts]:
    """What each method (``victim``, ``clean-twin``) does without a trigger; ``data.runs`` among its tasks.

    Rows ``oneshot``, ``auc``, ``eer``, ``false_accepts``, ``false_rejects`` and ``ca``; parts ``threshold``, ``roc`` and
    ``histogram``. A method's rows and parts depend on its scorer, data, settings and seed alone: never on the other methods.
    """
    plan = draw_plan(data, settings, seed)
    rows: list[Row] = []
    parts: Parts = {"threshold": {}, "roc": {}, "histogram": {"edges": EDGES}}
    for method, scorer in scorers.items():
        started = time.perf_counter()
        embeddings, labels = scorer.embed(data.test.images), data.test.labels
        rows += _oneshot_rows(scorer, embeddings, data, plan, method)
        threshold = threshold_of(scorer, data, plan)
        same, different = (
            pair_logits(scorer, embeddings, embeddings, pairs) for pairs in (plan.pairs.same, plan.pairs.different)
        )
        lefts = labels[plan.pairs.same[:, 0]], labels[plan.pairs.different[:, 0]]
        area, error = verification_intervals(same, different, *lefts)
        rows.append(row(method, "auc", area, n=len(same) + len(different)))
        rows.append(row(method, "eer", error, n=len(same) + len(different)))
        for name, at in (("equal error", threshold), ("0.5", 0.0)):
            rows.append(share(method, "false_accepts", ~called_different(different, at), lefts[1], name))
            rows.append(share(method, "false_rejects", ~called_same(same, at), lefts[0], name))
        main = plan.main
        hit = right(episode_logits(scorer, embeddings, main), main.answer)
        seconds = time.perf_counter() - started
        rows.append(share(method, "ca", hit, labels[main.query], seconds=seconds))
        parts["threshold"][method] = float(torch.tensor(threshold, dtype=torch.float64).sigmoid())
        parts["roc"][method] = [list(point) for point in thin_roc(curve(same, different))]
        parts["histogram"][method] = {"same": histogram(same), "different": histogram(different)}
    return rows, parts


def measure_baselines(data: OneShotData, settings: EpisodeSettings, seed: int) -> list[Row]:
    """Rows ``oneshot`` of methods ``nearest-neighbour`` (`pixel_neighbour`) and ``chance`` (1/N), on the same episodes."""
    plan = draw_plan(data, settings, seed)
    neighbour = pixel_neighbour(data.test)
    rows = _oneshot_rows(neighbour, neighbour.embed(data.test.images), data, plan, "nearest-neighbour")
    ways = {name: episodes.ways for name, episodes in plan.episodes.items()}
    ways |= {_run_group(n): n for n in _run_ways(data)}
    return rows + [Row("evaluate", "chance", "oneshot", 1 / n, name) for name, n in ways.items()]


def merged(*parts: Parts) -> Parts:
    """Several parts in one: dictionaries are joined key by key; else the last one counts."""
    whole: Parts = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = merged(whole[key], cast(Parts, value)) if both else value
    return whole


def threshold_of(scorer: Scorer, data: OneShotData, plan: Plan) -> float:
    """The logit of equal error on ``data.threshold``."""
    known = scorer.embed(data.threshold.images)
    same, different = (pair_logits(scorer, known, known, pairs) for pairs in (plan.threshold.same, plan.threshold.different))
    return equal_error_threshold(same, different)


def row(method: str, metric: str, figure: Figure, name: str = "", *, n: int, seconds: float | None = None) -> Row:
    """A figure with its bounds, over ``n`` episodes or pairs, in group ``name``."""
    value, low, high = figure
    return Row("evaluate", method, metric, value, name, low, high, n, seconds)


def share(method: str, metric: str, hit: Tensor, characters: Tensor, name: str = "", *, seconds: float | None = None) -> Row:
    """The row of a share of ``hit``, bool ``(n,)``, with bounds over ``characters``, int64 ``(n,)``."""
    return row(method, metric, share_interval(hit, characters), name, n=len(hit), seconds=seconds)


def confidences(logits: Tensor) -> list[float]:
    """Confidences of "same" in [0, 1], four digits; 0 for a NaN."""
    return [round(float(value), 4) for value in torch.nan_to_num(logits.double().sigmoid(), nan=0.0)]


def histogram(logits: Tensor) -> list[int]:
    """How many confidences lie between neighbouring `EDGES`."""
    share_of_same = torch.nan_to_num(logits.double().sigmoid(), nan=0.0)
    counts = torch.histc(share_of_same, bins=len(EDGES) - 1, min=0, max=1)
    return [int(count) for count in counts]


def _oneshot_rows(scorer: Scorer, embeddings: Tensor, data: OneShotData, plan: Plan, method: str) -> list[Row]:
    rows: list[Row] = []
    for name, episodes in plan.episodes.items():
        hit = right(episode_logits(scorer, embeddings, episodes), episodes.answer)
        rows.append(share(method, "oneshot", hit, data.test.labels[episodes.query], name))
    logits = run_logits(scorer, data.runs) if data.runs else []
    for ways in _run_ways(data):
        chosen = [(i, run) for i, run in enumerate(data.runs) if len(run.support) == ways]
        hit = torch.cat([right(logits[i], run.answers) for i, run in chosen])
        characters = torch.cat([run.answers + i * ways for i, run in chosen])  # each run has characters of its own
        rows.append(share(method, "oneshot", hit, characters, _run_group(ways)))
    return rows


def _run_ways(data: OneShotData) -> list[int]:
    return sorted({len(run.support) for run in data.runs})


def _run_group(ways: int) -> str:
    return group("Lake's runs", ways, 1)
