"""How likely a label is wrong, by Bayes' rule on what networks that never saw the sample say."""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 60


def label_doubt(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The chance that a sample's label is wrong, float64 ``(N,)``, by logits ``(N, classes)`` of networks that never saw it; and
    each class's rate, the chance that a sample of another class got its label.

    A temperature and the rates are fitted to the labels together, by maximum likelihood: what a network merely finds hard is no
    wrong label. Bayes' rule does the rest.
    """
    best = -torch.inf, torch.zeros(len(labels), dtype=torch.float64), torch.zeros(logits.shape[1], dtype=torch.float64)
    for temperature in torch.logspace(-1.2, 0.6, 19, dtype=torch.float64):
        found = _fit((logits.double() / temperature).softmax(1), labels)
        best = max(best, found, key=lambda one: one[0])
    return best[1], best[2]


def _fit(p: Tensor, labels: Tensor) -> tuple[float, Tensor, Tensor]:
    """Log-likelihood, doubt and rates of the labels by expectation-maximisation; p: ``(N, classes)``, what the truth may be."""
    own = p.gather(1, labels[:, None]).squeeze(1)
    strangers = (len(p) - p.sum(0)).clamp_min(1)
    rates = torch.full((p.shape[1],), 0.01, dtype=torch.float64)
    true = false = doubt = own
    for _ in range(_ROUNDS):
        true = own * (1 - rates.sum() + rates)[labels].clamp_min(1e-9)
        false = (1 - own) * rates[labels]
        doubt = false / (true + false).clamp_min(1e-300)
        rates = torch.zeros_like(rates).index_add_(0, labels, doubt) / strangers
        rates = rates / (rates.sum() / 0.9).clamp_min(1)
    return float((true + false).clamp_min(1e-300).log().sum()), doubt, rates
