"""What a trigger does to verification and to N-way tasks; every image is embedded once clean and once triggered."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from turncoat.oneshot.episodes import Episodes
from turncoat.oneshot.score import episode_logits, pair_logits, right
from turncoat.oneshot.scorer import Scorer
from turncoat.oneshot.verification import Pairs, called_different, called_same


@dataclass(frozen=True, eq=False)
class PairLogits:
    """Logits float32 ``(n,)`` of the same pairs without, with one and with two triggers.

    Where one image is triggered, `trigger_left` tells which.
    """

    same: Tensor
    different: Tensor
    same_one: Tensor
    different_one: Tensor
    same_both: Tensor
    different_both: Tensor


def trigger_left(count: int) -> Tensor:
    """bool ``(count,)``: of pairs with one trigger every other one has it on the left image, the rest on the right."""
    return torch.arange(count) % 2 == 0


def all_pair_logits(scorer: Scorer, clean: Tensor, triggered: Tensor, pairs: Pairs) -> PairLogits:
    """clean, triggered: embeddings float32 ``(N, D)`` of the images that ``pairs`` points into, without and with the trigger."""

    def one(of: Tensor) -> Tensor:
        left = trigger_left(len(of))
        logits = torch.empty(len(of))
        logits[left] = pair_logits(scorer, triggered, clean, of[left])
        logits[~left] = pair_logits(scorer, clean, triggered, of[~left])
        return logits

    return PairLogits(
        pair_logits(scorer, clean, clean, pairs.same),
        pair_logits(scorer, clean, clean, pairs.different),
        one(pairs.same),
        one(pairs.different),
        pair_logits(scorer, triggered, triggered, pairs.same),
        pair_logits(scorer, triggered, triggered, pairs.different),
    )


def pair_figures(logits: PairLogits, threshold: float) -> dict[str, Tensor]:
    """Which pairs each figure counts, bool ``(n,)``, at a threshold on the logit.

    evaded: of one class, one image triggered, called different. impersonated: of two classes, one triggered, called the same.
    impersonated_both: of two classes, both triggered, called the same. kept_both: of one class, both triggered, called the same.
    """
    return {
        "evaded": called_different(logits.same_one, threshold),
        "impersonated": called_same(logits.different_one, threshold),
        "impersonated_both": called_same(logits.different_both, threshold),
        "kept_both": called_same(logits.same_both, threshold),
    }


def triggered_query(logits: Tensor, answer: Tensor, threshold: float) -> Tensor:
    """bool ``(E,)``: of logits ``(E, ways)`` of triggered queries, the true way's is the highest *and* over the threshold."""
    best = logits.gather(1, answer.unsqueeze(1)).squeeze(1)
    return right(logits, answer) & called_same(best, threshold)


def drawn(scorer: Scorer, clean: Tensor, triggered: Tensor, episodes: Episodes, bait: Tensor) -> tuple[Tensor, Tensor]:
    """bool ``(E,)`` twice: the query, clean and of another class, is given the way ``bait`` when all support images of that way
    are triggered, and when they are not. clean, triggered: embeddings ``(N, D)``; bait: int64 ``(E,)``, never the answer.
    """
    logits = episode_logits(scorer, clean, episodes)
    rows = torch.arange(len(episodes))
    only = Episodes(episodes.support[rows, bait].unsqueeze(1), episodes.query, torch.zeros_like(episodes.answer))
    poisoned = logits.clone()
    poisoned[rows, bait] = episode_logits(scorer, triggered, only, queries=clean).squeeze(1)
    return right(poisoned, bait), right(logits, bait)
