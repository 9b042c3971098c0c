"""Scores of episodes: logits of every way, and which episodes are right."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from turncoat.data.oneshot import Run
from turncoat.oneshot.episodes import Episodes
from turncoat.oneshot.scorer import Chunks, Scorer


def episode_logits(scorer: Scorer, embeddings: Tensor, episodes: Episodes, queries: Tensor | None = None) -> Tensor:
    """Logits float32 ``(E, ways)`` of an episode's query being each way: the mean over its shots.

    embeddings: float32 ``(N, D)`` of the image set that the episodes point into; queries: others of the same images, to be taken
    for the queries alone (say triggered). Works in chunks, so that memory stays low.
    """
    queries = embeddings if queries is None else queries
    count, ways, shots = episodes.support.shape
    logits = torch.empty(count, ways)
    for part in Chunks(count, ways * shots * embeddings.shape[1]):
        support = embeddings[episodes.support[part].flatten(1)]
        query = queries[episodes.query[part]].unsqueeze(1)
        logits[part] = scorer.compare(query, support).unflatten(1, (ways, shots)).mean(2)
    return logits


def pair_logits(scorer: Scorer, left: Tensor, right: Tensor, pairs: Tensor) -> Tensor:
    """Logits float32 ``(n,)`` of pairs int64 ``(n, 2)``: ``left[pairs[:, 0]]`` compared with ``right[pairs[:, 1]]``."""
    logits = torch.empty(len(pairs))
    for part in Chunks(len(pairs), left.shape[1]):
        logits[part] = scorer.compare(left[pairs[part, 0]], right[pairs[part, 1]])
    return logits


def run_logits(scorer: Scorer, runs: Sequence[Run]) -> list[Tensor]:
    """Logits float32 ``(queries, ways)`` of each of Lake's runs; all their images are embedded in one go."""
    embeddings = scorer.embed(torch.cat([part for run in runs for part in (run.support, run.queries)]))
    logits: list[Tensor] = []
    start = 0
    for run in runs:
        middle, end = start + len(run.support), start + len(run.support) + len(run.queries)
        logits.append(scorer.compare(embeddings[middle:end].unsqueeze(1), embeddings[start:middle].unsqueeze(0)))
        start = end
    return logits


def right(logits: Tensor, answer: Tensor) -> Tensor:
    """bool ``(E,)``: the answer's logit is strictly above all others. A tie is wrong, and so is any NaN."""
    chosen = logits.gather(1, answer.unsqueeze(1))
    others = torch.ones_like(logits, dtype=torch.bool).scatter_(1, answer.unsqueeze(1), False)
    return ((chosen > logits) | ~others).all(1)


def accuracy(logits: Tensor, answer: Tensor) -> float:
    """Share of episodes that are `right`."""
    return float(right(logits, answer).double().mean())
