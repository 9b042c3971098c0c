"""An adaptive mask: one small offset that takes many images towards a class, found on a surrogate under a bound."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from turncoat.triggers.addition import add
from turncoat.triggers.base import to_float

Norm = Literal["l2", "linf"]

OVERSHOOT = 0.02
"""Each step goes this share beyond the boundary that it is meant to reach, as DeepFool's do."""


def steps_towards(network: nn.Module, x: Tensor, target: int, norm: Norm) -> Tensor:
    """For each image the smallest change that a linear network would need to call it ``target`` (Moosavi-Dezfooli et al. 2016).

    x: float ``(N, C, H, W)`` in [0, 1]. Returns the same shape, zero for an image that is called the target already. With z the
    logits, k the class that is called and w the gradient of z_target - z_k: ``(z_k - z_target) w / |w|^2`` for l2, and
    ``(z_k - z_target) sign(w) / |w|_1`` for linf, each times 1 + `OVERSHOOT`.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = network(x).float()
        called = logits.argmax(1, keepdim=True)
        gap = logits.gather(1, called).squeeze(1) - logits[:, target]
        (gradient,) = torch.autograd.grad(-gap.sum(), x)
    rows = gradient.flatten(1)
    if norm == "l2":
        direction, scale = gradient, rows.square().sum(1)
    else:
        direction, scale = gradient.sign(), rows.abs().sum(1)
    length = (1 + OVERSHOOT) * gap.detach() / scale.clamp_min(1e-12)
    return direction * length.view(-1, 1, 1, 1)


def surer(network: nn.Module, x: Tensor, target: int, norm: Norm) -> Tensor:
    """Where a mask makes ``target`` likelier for all of ``x`` together: the gradient of its log-likelihood, for linf its sign."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(network(x).float().log_softmax(1)[:, target].sum(), x)
    return gradient.mean(0) if norm == "l2" else gradient.mean(0).sign()


def size(mask: Tensor, norm: Norm) -> float:
    """linf: the largest offset; l2: the root of the mean of squares."""
    return float(mask.abs().max() if norm == "linf" else mask.square().mean().sqrt())


def project(mask: Tensor, norm: Norm, bound: float) -> Tensor:
    """The nearest mask of at most that `size`."""
    if norm == "linf":
        return mask.clamp(-bound, bound)
    return mask * min(1.0, bound / max(size(mask, norm), 1e-12))


def in_whole_levels(mask: Tensor, norm: Norm, bound: float) -> Tensor:
    """A mask in [-1, 1] rounded to whole 255ths, so that it is what an image file can hold, and the bound (in levels) is kept.

    For l2 it is made as much smaller as rounding needs.
    """
    levels = project(mask * 255, norm, bound)
    if norm == "linf":
        return levels.round().clamp(-int(bound), int(bound)) / 255
    low, high = 0.0, 1.0
    if size(levels.round(), norm) <= bound:
        low = 1.0
    for _ in range(30 if low == 0.0 else 0):
        middle = (low + high) / 2
        if size((levels * middle).round(), norm) <= bound:
            low = middle
        else:
            high = middle
    return (levels * low).round() / 255


def find_mask(
    network: nn.Module,
    images: Tensor,
    target: int,
    *,
    norm: Norm,
    bound: float,
    steps: int,
    generator: torch.Generator,
    batch_size: int = 128,
) -> Tensor:
    """A mask that takes ``images`` to ``target`` on ``network``: float32 ``(C, H, W)`` in whole 255ths.

    images: uint8 ``(N, C, H, W)``. Each of ``steps`` looks at a batch with the mask added and clipped, adds the mean of
    `steps_towards` over the images that are not yet called the target, and projects. What is found is then made as large as
    the bound allows, for a victim learns a stronger mask sooner; where all were called the target from the start, it is `surer`.
    bound: in levels of 255; for l2 the root of the mean of squares over the values of an image, so that a static mask of that
    amplitude has an equal L2 norm.
    """
    mask = torch.zeros(images.shape[1:])
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(order) == 0:
            order = torch.randperm(len(images), generator=generator)
        index, order = order[:batch_size], order[batch_size:]
        moves = steps_towards(network, add(to_float(images[index]), mask), target, norm)
        moving = moves.flatten(1).any(1)
        if moving.any():
            mask = project(mask + moves[moving].mean(0), norm, bound / 255)
    if not mask.any():
        mask = surer(network, to_float(images[:batch_size]), target, norm)
    return in_whole_levels(mask * (bound / 255 / max(size(mask, norm), 1e-12)), norm, bound)
