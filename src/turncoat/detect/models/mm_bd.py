"""MM-BD: a backdoored class reaches a far larger margin than the others on images made for it. It needs no image."""

from __future__ import annotations

import time
from math import isnan
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from turncoat.detect.models.base import Finding, ModelDetector, Suspect
from turncoat.detect.models.moderated import Spread, outlier
from turncoat.seeds import generator
from turncoat.train.memory import tune_allocator
from turncoat.train.placement import Placement, split, to_device

CLEAN = Spread(deviation=0.22, freedom=8)
"""Of the logarithms of the margins over the classes of a clean model: `docs/calibration.md`."""

_VALUES = 2**21  # input values that go through the network at a time
_LEAST = 0.1  # of the largest margin: what classes count as that no image leads to
_WINDOW, _GAIN = 10, 0.01
_TINY = 1e-16  # gradients may be of any scale


def margins(logits: Tensor, classes: Tensor) -> Tensor:
    """By how much each row's class leads the next ``(N,)``, negative where another leads. logits ``(N, K)``, classes ``(N,)``."""
    own = logits.gather(1, classes.unsqueeze(1)).squeeze(1)
    return own - logits.scatter(1, classes.unsqueeze(1), -torch.inf).amax(1)


def largest_margins(
    network: nn.Module, x: Tensor, classes: Tensor, placement: Placement, *, steps: int, lr: float
) -> tuple[Tensor, int]:
    """Each image's largest margin while Adam climbs it, float32 ``(N,)`` on the CPU, and how many steps that took.

    x: starts ``(N, C, H, W)`` in [0, 1], where the images are kept. It stops early once no class's best rose by more than 1% of
    the range between classes over 10 steps. lr falls to zero over ``steps``.
    """
    x = x.detach().to(placement.device).clone(memory_format=torch.channels_last).requires_grad_()
    adam = torch.optim.Adam([x], lr=lr, eps=_TINY, maximize=True)
    wanted, size = classes.to(x.device), max(1, _VALUES // x[0].numel())
    best, before = torch.full((len(x),), -torch.inf, device=x.device), torch.tensor([])
    for step in range(steps):
        parts = [
            _climbed(network, part, of, placement) for part, of in zip(split(x.detach(), size), split(wanted, size), strict=True)
        ]
        best = torch.maximum(best, torch.cat([margin for margin, _ in parts]))
        x.grad = torch.cat([slope for _, slope in parts])
        adam.param_groups[0]["lr"] = lr * (1 - step / steps)
        adam.step()
        with torch.no_grad():
            x.clamp_(0, 1)
        if step % _WINDOW == _WINDOW - 1:
            reached = by_class(best, wanted)
            if len(before) and bool((reached - before).max() <= _GAIN * (reached.max() - reached.min())):
                return best.cpu(), step + 1
            before = reached
    return best.cpu(), steps


def _climbed(network: nn.Module, x: Tensor, classes: Tensor, placement: Placement) -> tuple[Tensor, Tensor]:
    x = x.requires_grad_()
    with torch.enable_grad(), placement.autocast():
        logits = cast(Tensor, network(x))
    margin = margins(logits.float(), classes)
    return margin.detach(), torch.autograd.grad(margin.sum(), x)[0]


def by_class(values: Tensor, classes: Tensor) -> Tensor:
    """The largest of each class's values ``(K,)``."""
    return torch.full((int(classes.max()) + 1,), -torch.inf, device=values.device).scatter_reduce(0, classes, values, "amax")


def gamma_p(statistics: Tensor) -> float:
    """The paper's p-value: of the largest of K draws from a gamma that is fitted to the other classes. NaN where one is not
    above 0. Nine classes fit it badly, so that a clean model of ten gets p <= 0.05 more often than in 5%.
    """
    ranked = statistics.double().sort().values
    if float(ranked[0]) <= 0 or len(ranked) < 3:
        return float("nan")
    from scipy import stats  # noqa: PLC0415 - a second to import

    shape, _, scale = cast("tuple[float, float, float]", stats.gamma.fit(ranked[:-1].numpy(), floc=0))
    return 1 - float(stats.gamma.cdf(float(ranked[-1]), shape, scale=scale)) ** len(ranked)


class MMBD(ModelDetector):
    """A backdoored class reaches a far larger margin over the others than these do, whatever the trigger; no images needed.

    Of each class the largest margin from a few random images is kept; the largest class is compared with the others, by the gamma
    null of the paper (``gamma_p``) and by the logarithms' spread in clean models, which does not take nine fitted points for the
    truth and gives the p-value. Both are blind to the scale of the logits.
    """

    name: Literal["mm-bd"] = "mm-bd"
    paper: ClassVar[str] = "Wang et al.: MM-BD: Post-Training Detection of Backdoor Attacks with Arbitrary Patterns, S&P 2024"
    needs_images: ClassVar[bool] = False
    log_scores: ClassVar[bool] = True
    version: ClassVar[int] = 2

    starts: int = Field(default=6, ge=1, le=1000)
    steps: int = Field(default=80, ge=1, le=10_000)
    lr: float = Field(default=0.03, gt=0, le=1)

    def examine(self, suspect: Suspect) -> Finding:
        """The statistic is how far the largest margin is from the others, in standard deviations; class_scores: its logarithm."""
        began = time.perf_counter()
        tune_allocator()
        to_device(suspect.network, suspect.placement)
        count = len(suspect.classes)
        x = torch.rand(self.starts, 1, *suspect.shape, generator=generator(suspect.seed, "detect"))
        x = x.expand(-1, count, *suspect.shape).flatten(0, 1)
        classes = torch.arange(count).repeat(self.starts)
        best, steps = largest_margins(suspect.network, x, classes, suspect.placement, steps=self.steps, lr=self.lr)
        margin = by_class(best, classes).double()
        scores = margin.clamp_min(_LEAST * max(float(margin.max()), _TINY)).log()
        found = outlier(scores, "high", CLEAN)
        paper, spread = gamma_p(margin), float(best.view(self.starts, count).std(0, correction=0).mean())
        details = {"steps": float(steps), "spread_of_starts": spread}
        return Finding(
            statistic=found.deviations,
            class_scores=tuple(cast("list[float]", scores.tolist())),
            p_value=found.p_value,
            target=found.place,
            trigger=None,
            passes=len(x) * steps,
            seconds=time.perf_counter() - began,
            details=details if isnan(paper) else {**details, "gamma_p": paper},
        )
