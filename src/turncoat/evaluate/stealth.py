"""How visible a trigger is: PSNR, SSIM, L-infinity and pixels changed between clean and triggered test images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from turncoat.attacks.base import FittedAttack
from turncoat.attacks.triggered import triggered
from turncoat.data.imageset import ImageSet
from turncoat.evaluate.rows import Row
from turncoat.seeds import generator
from turncoat.triggers.base import to_float


def psnr(clean: Tensor, changed: Tensor) -> Tensor:
    """Peak signal to noise ratio in dB ``(N,)`` of images ``(N, C, H, W)`` in [0, 1]; infinite where nothing differs."""
    return -10 * torch.log10((clean - changed).square().mean(dim=(1, 2, 3)))


def ssim(clean: Tensor, changed: Tensor) -> Tensor:
    """Structural similarity ``(N,)`` in [-1, 1], 1 being equal (Wang et al. 2004).

    Gaussian window of 11 pixels and sigma 1.5 (smaller where the image is), mean over pixels and channels; images in [0, 1].
    """
    channels, side = clean.shape[1], min(11, *clean.shape[2:])
    side -= 1 - side % 2
    offset = torch.arange(side, dtype=clean.dtype) - side // 2
    line = torch.exp(-offset.square() / (2 * 1.5**2))
    line = line / line.sum()
    window = (line[:, None] * line[None, :]).expand(channels, 1, side, side)

    def blur(x: Tensor) -> Tensor:
        return functional.conv2d(x, window, groups=channels)

    mean_a, mean_b = blur(clean), blur(changed)
    spread_a = blur(clean.square()) - mean_a.square()
    spread_b = blur(changed.square()) - mean_b.square()
    joint = blur(clean * changed) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * mean_a * mean_b + c1) * (2 * joint + c2)
    likeness = likeness / ((mean_a.square() + mean_b.square() + c1) * (spread_a + spread_b + c2))
    return likeness.mean(dim=(1, 2, 3))


def stealth(fitted: FittedAttack, test: ImageSet, seed: int, count: int = 1000) -> list[Row]:
    """Over up to ``count`` test images: rows psnr (dB, mean), ssim (mean), linf (largest change in levels of 255), changed.

    changed: mean share of an image's pixels of which any channel differs.

    Images that the trigger leaves as they were are left out of psnr, whose n tells the rest.
    """
    draw = generator(seed, "test")
    pick = torch.randperm(len(test), generator=draw)[:count]
    sample = test.subset(pick)
    targets = fitted.goal.targets(sample.labels, len(sample.classes), draw)
    shown = triggered(fitted, sample.images, sample.labels, targets, draw)
    clean, changed = to_float(sample.images), to_float(shown)
    ratio = psnr(clean, changed)
    ratio = ratio[ratio.isfinite()]
    levels = (sample.images.int() - shown.int()).abs().amax(1)
    figures = {"ssim": ssim(clean, changed).mean(), "linf": levels.amax(), "changed": (levels > 0).float().mean()}
    rows = [(metric, float(value), len(sample)) for metric, value in figures.items()]
    if len(ratio):
        rows.insert(0, ("psnr", float(ratio.mean()), len(ratio)))
    return [Row("poison", "trigger", metric, value, n=n) for metric, value, n in rows]
