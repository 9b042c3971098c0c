"""Glyphs: invented alphabets, for one-shot learning without a download."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from turncoat.data.cache import Cache, Workspace
from turncoat.data.imageset import Splits
from turncoat.data.oneshot import ClassSplit, OneShotData, split_background, split_drawers
from turncoat.data.source import Source
from turncoat.data.stroke_program import Characters, invent
from turncoat.errors import TurncoatError
from turncoat.progress import Progress, silent

_VERSION = 1
"""Raised when the same settings would give other drawings; part of the cache's key."""
_MOST = 200_000

Floats = NDArray[np.float64]
Random = np.random.RandomState  # its stream is frozen for good, default_rng's is not


class Glyphs(Source):
    """Characters of invented alphabets, drawn again and again by a stroke program, 28x28 black on white; nothing to download.

    A character is a few strokes; an alphabet's characters share how many, which kinds, how curved and how joined. Each drawer
    has a slant, a pen and an unsteady hand. One-shot: trained on the background alphabets, tested on the evaluation
    alphabets. As ordinary classification: all background characters, tested on the last fifth of the drawers.
    """

    name: Literal["glyphs"] = "glyphs"

    alphabets: int = Field(default=30, ge=2, le=1000, description="background alphabets, to train on")
    evaluation: int = Field(default=10, ge=1, le=1000, description="evaluation alphabets, to test on")
    characters: int = Field(default=20, ge=2, le=100, description="in each alphabet")
    drawers: int = Field(default=20, ge=2, le=100, description="drawings of each character")
    size: int = Field(default=28, ge=20, le=256, description="side in pixels; 105 is Omniglot's")
    seed: int = Field(default=0, ge=0, lt=2**32, description="another seed, other alphabets")

    def load(self, progress: Progress = silent) -> Splits:
        return split_drawers(self._whole(progress).train, max(1, self.drawers // 5))

    def one_shot(self, split: ClassSplit, progress: Progress = silent) -> OneShotData:
        return split_background(self._whole(progress), split, self.name)

    def _whole(self, progress: Progress) -> Splits:
        """Background drawings to train, evaluation drawings to test on; the classes of both."""
        parts = {"train": range(self.alphabets), "test": range(self.alphabets, self.alphabets + self.evaluation)}
        each = self.characters * self.drawers
        if (self.alphabets + self.evaluation) * each > _MOST:
            raise TurncoatError(
                f"glyphs: expected at most {_MOST:,} drawings, got {self.alphabets} + {self.evaluation} alphabets x "
                f"{self.characters} characters x {self.drawers} drawers"
            )

        def build(workspace: Workspace) -> None:
            labels: dict[str, NDArray[np.int64]] = {}
            for split, numbers in parts.items():
                out = workspace.array(split, (len(numbers) * each, 1, self.size, self.size))
                for i, number in enumerate(numbers):
                    out[i * each : (i + 1) * each, 0] = draw_alphabet(number, self.characters, self.drawers, self.size, self.seed)
                    progress("drawing", number + 1, self.alphabets + self.evaluation)
                first = numbers.start * self.characters
                labels[split] = np.repeat(np.arange(first, first + len(numbers) * self.characters), self.drawers)
            workspace.describe(classes, **labels)

        total = range(self.alphabets + self.evaluation)
        classes = [f"Alphabet{a + 1:02d}/character{c + 1:02d}" for a in total for c in range(self.characters)]
        settings = {"glyphs": _VERSION, **self.model_dump()}
        return Cache().splits(None, settings, lambda: self.name, build)


def draw_alphabet(number: int, characters: int, drawers: int, size: int, seed: int) -> NDArray[np.uint8]:
    """uint8 ``(characters * drawers, size, size)``, ink 0 on 255, character after character; alphabets count from 0."""
    invented = invent(number, characters, seed)
    return _draw(invented, drawers, size, Random([seed, number, 1]))


def _draw(characters: Characters, drawers: int, size: int, random: Random) -> NDArray[np.uint8]:
    """Every character by every drawer."""
    shape = (len(characters.knots), drawers)
    hand, now = random.standard_normal((6, drawers)), random.standard_normal((5, *shape))
    unsteady = np.exp(0.3 * hand[0])[:, None, None]

    rotation, slant = 0.05 * hand[1] + 0.09 * now[0], 0.13 * hand[2] + 0.05 * now[1]
    width, height = np.exp(0.07 * hand[3] + 0.07 * now[2]), np.exp(0.07 * hand[4] + 0.07 * now[3])
    shear = np.stack([np.stack([width, slant * height], -1), np.stack([np.zeros(shape), height], -1)], -2)
    affine = (_turn(rotation) @ shear)[:, :, None, None]

    strokes = (*shape, *characters.knots.shape[1:3])
    knots = characters.knots[:, None] - 0.5
    knots = knots + 0.016 * unsteady[..., None] * random.standard_normal((*strokes, 2))
    knots = knots + 0.025 * unsteady[..., None] * random.standard_normal((*strokes[:3], 1, 2))
    knots = _apply(affine, knots) + 0.5 + 0.033 * random.standard_normal((*shape, 1, 1, 2))

    pieces = (*shape, *characters.used.shape[1:])

    def speed(meant: Floats) -> Floats:
        faster, aside = np.exp(0.2 * random.standard_normal(pieces)), 0.2 * unsteady * random.standard_normal(pieces)
        return _apply(affine @ (faster[..., None, None] * _turn(aside)), meant[:, None])

    leave, arrive = speed(characters.leave), speed(characters.arrive)
    knots, leave, arrive = (part.reshape(-1, *part.shape[2:]) for part in (knots, leave, arrive))
    used = np.repeat(characters.used, drawers, axis=0)
    pen = 0.019 * np.exp(0.18 * hand[5] + 0.06 * now[4])
    return Characters(knots, leave, arrive, used).draw(pen.reshape(-1), size)


def _apply(matrices: Floats, vectors: Floats) -> Floats:
    return (matrices @ vectors[..., None])[..., 0]


def _turn(angle: Floats) -> Floats:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
