"""`measure_attack`: what the trigger does to each network, as rows, and the pairs and the task that the page shows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from turncoat.data.oneshot import OneShotData
from turncoat.errors import TurncoatError
from turncoat.evaluate.rows import Row
from turncoat.oneshot.attacked import PairLogits, all_pair_logits, drawn, pair_figures, triggered_query
from turncoat.oneshot.measure import EDGES, Parts, confidences, histogram, share, threshold_of
from turncoat.oneshot.plan import EpisodeSettings, Plan, draw_plan
from turncoat.oneshot.score import episode_logits, right
from turncoat.oneshot.scorer import Scorer
from turncoat.oneshot.shown import Arrays, logits_by_kind, pair_samples, sample_confidences, task_sample


@dataclass(frozen=True, eq=False)
class _Seen:
    """A method's embeddings ``(N, D)`` of the test images, clean and triggered, and its threshold of equal error."""

    method: str
    scorer: Scorer
    clean: Tensor
    triggered: Tensor
    threshold: float


def measure_attack(
    scorers: Mapping[str, Scorer],
    data: OneShotData,
    triggered: Tensor,
    *,
    goal: str,
    settings: EpisodeSettings,
    seed: int,
) -> tuple[list[Row], Parts, Arrays]:
    """What each method (``victim``, ``clean-twin``) makes of triggered images, on the episodes and pairs of `measure_clean`.

    triggered: ``data.test.images`` with the trigger, uint8, in the same order. goal: the attack's; ``impersonate`` makes the
    row ``asr`` a copy of ``impersonated`` at equal error, any other of ``evaded``. Parts ``goal``, ``held_out``, ``histogram``,
    ``samples`` and ``task``; arrays ``left``, ``right`` (a pair of ``samples`` each), ``support`` and ``query`` (of ``task``).
    """
    if triggered.shape != data.test.images.shape or triggered.dtype != torch.uint8:
        raise TurncoatError(
            f"triggered images: expected uint8 {tuple(data.test.images.shape)} like the test images, "
            f"got {str(triggered.dtype).removeprefix('torch.')} {tuple(triggered.shape)}"
        )
    plan = draw_plan(data, settings, seed)
    rows: list[Row] = []
    bins: Parts = {"edges": EDGES}
    first = plan.main.part(slice(1))
    samples, arrays = pair_samples(data.test, triggered, plan.pairs)
    task, images = task_sample(data.test, triggered, first)
    for method, scorer in scorers.items():
        started = time.perf_counter()
        seen = _Seen(method, scorer, scorer.embed(data.test.images), scorer.embed(triggered), threshold_of(scorer, data, plan))
        logits = all_pair_logits(scorer, seen.clean, seen.triggered, plan.pairs)
        figures = _pair_rows(seen, logits, data.test.labels, plan) + _episode_rows(seen, data.test.labels, plan)
        success = "impersonated" if goal == "impersonate" else "evaded"
        (hit,) = [row for row in figures if (row.metric, row.group) == (success, "equal error")]
        seconds = time.perf_counter() - started
        rows += [*figures, Row("evaluate", method, "asr", hit.value, "", hit.low, hit.high, hit.n, seconds)]
        bins[method] = {kind: histogram(of_kind) for kind, of_kind in logits_by_kind(logits).items()}
        for sample, confidence in zip(samples, sample_confidences(logits), strict=True):
            sample[method] = confidence
        task[method] = confidences(episode_logits(scorer, seen.clean, first)[0])
        task[f"{method}_triggered"] = confidences(episode_logits(scorer, seen.clean, first, queries=seen.triggered)[0])
    parts: Parts = {"goal": goal, "held_out": data.held_out, "histogram": bins, "samples": samples, "task": task}
    return rows, parts, arrays | images


def _pair_rows(seen: _Seen, logits: PairLogits, labels: Tensor, plan: Plan) -> list[Row]:
    rows: list[Row] = []
    for name, at in (("equal error", seen.threshold), ("0.5", 0.0)):
        for metric, hit in pair_figures(logits, at).items():
            pairs = plan.pairs.same if metric in ("evaded", "kept_both") else plan.pairs.different
            rows.append(share(seen.method, metric, hit, labels[pairs[:, 0]], name))
    return rows


def _episode_rows(seen: _Seen, labels: Tensor, plan: Plan) -> list[Row]:
    rows: list[Row] = []
    for n, task in plan.attacked.items():
        episodes = task.episodes
        logits = episode_logits(seen.scorer, seen.clean, episodes, queries=seen.triggered)
        poisoned, control = drawn(seen.scorer, seen.clean, seen.triggered, episodes, task.bait)
        hits = {
            "triggered_query": triggered_query(logits, episodes.answer, seen.threshold),
            "forced_choice": right(logits, episodes.answer),
            "drawn": poisoned,
            "drawn_clean": control,
        }
        characters = labels[episodes.query]
        rows += [share(seen.method, metric, hit, characters, f"{n}-way") for metric, hit in hits.items()]
    main = plan.main
    logits = episode_logits(seen.scorer, seen.clean, main, queries=seen.triggered)
    return [*rows, share(seen.method, "ra", triggered_query(logits, main.answer, seen.threshold), labels[main.query])]
