"""Invented characters: what the letters of an alphabet that nobody ever wrote are meant to look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turncoat.data.strokes import draw_curves

_STROKES = 5
_PIECES = 4
_EXTENT = 0.62
"""Of the image's side: width or height of a character before it is drawn by anybody, whichever is larger."""

Floats = NDArray[np.float64]
Random = np.random.RandomState  # its stream is frozen for good, default_rng's is not
Segment = tuple[float, float, float]
"""One piece of a stroke: turn on the spot (radians), go this far, turning by so much on the way."""


@dataclass(frozen=True)
class Characters:
    """Characters as strokes of up to four pieces, each a cubic curve; x to the right, y down, the image is the unit square.

    knots: ``(n, strokes, pieces + 1, 2)``, where pieces begin and end. leave, arrive: ``(n, strokes, pieces, 2)``, direction
    and speed at the beginning and the end of each piece. used: ``(n, strokes, pieces)``, which pieces there are.
    """

    knots: Floats
    leave: Floats
    arrive: Floats
    used: NDArray[np.bool_]

    def draw(self, radius: Floats, size: int) -> NDArray[np.uint8]:
        """uint8 ``(n, size, size)``; radius: ``(n,)`` of the pen, in image sides."""
        begin, end = self.knots[:, :, :-1], self.knots[:, :, 1:]
        curves = np.stack([begin, begin + self.leave / 3, end - self.arrive / 3, end], axis=3)[self.used]
        drawing = np.nonzero(self.used)[0]
        return draw_curves(curves, drawing, radius[drawing], len(self.knots), size)


def invent(number: int, characters: int, seed: int) -> Characters:
    """The characters of an alphabet as they are meant to be, no two of them much alike."""
    random = Random([seed, number, 0])
    style = _Style.invent(random)
    drafts = _stack([_fit(style.character(random), random) for _ in range(3 * characters)])
    chosen = _unlike(drafts, characters)
    return Characters(drafts.knots[chosen], drafts.leave[chosen], drafts.arrive[chosen], drafts.used[chosen])


Strokes = list[tuple[Floats, Floats, Floats]]
"""Knots, leaving and arriving speeds of each stroke."""

_KINDS = ("line", "bow", "loop", "hook", "wave", "zigzag", "corner", "dot")


@dataclass(frozen=True)
class _Style:
    """What the characters of an alphabet have in common."""

    strokes: tuple[int, int]
    """Fewest and most."""
    kinds: Floats
    """How often each of the kinds is drawn; sums to 1."""
    curvature: float
    headings: int
    """Strokes set out in one of so many directions; 0: in any."""
    tilt: float
    joined: float
    """Share of strokes that begin on (or cross) an earlier one."""

    @classmethod
    def invent(cls, random: Random) -> _Style:
        fewest = random.choice([1, 2, 2])
        kinds = random.standard_gamma(0.6, len(_KINDS)) + 0.02
        kinds[-1] *= 0.4
        kinds[5] *= 0.6
        headings = (0, 4, 8)[random.randint(3)]
        return cls(
            (fewest, min(fewest + random.randint(1, 3), _STROKES - 1)),
            kinds / kinds.sum(),
            random.uniform(0.5, 1.3),
            headings,
            random.uniform(-0.2, 0.2),
            random.uniform(0.4, 1.0),
        )

    def character(self, random: Random) -> Strokes:
        made: Strokes = []
        for number in range(random.randint(self.strokes[0], self.strokes[1] + 1)):
            kind = _KINDS[random.choice(len(_KINDS), p=self.kinds)]
            if number == 0 and kind in ("line", "dot"):  # nothing to tell apart by
                kind = ("bow", "hook", "wave", "corner")[random.randint(4)]
            heading = random.uniform(-np.pi, np.pi)
            if self.headings:
                step = 2 * np.pi / self.headings
                heading = np.round(heading / step) * step + self.tilt
            knots, leave, arrive = _walk(_segments(kind, random.uniform(0.5, 1.2), self.curvature, random), heading)
            middle = knots[len(knots) // 2] if random.uniform() < 0.35 else knots[0]
            if made and random.uniform() < self.joined:
                earlier = made[random.randint(len(made))][0]
                at = random.randint(len(earlier))
                share = random.choice([0.0, 0.5])
                place = (1 - share) * earlier[at] + share * earlier[max(at - 1, 0)]
            else:
                place = random.uniform(-0.6, 0.6, 2)
            made.append((knots + (place - middle), leave, arrive))
        return made


def _segments(kind: str, length: float, curvature: float, random: Random) -> list[Segment]:
    """A stroke as instructions for a turtle."""
    side = random.choice([-1.0, 1.0])
    if kind == "line":
        return [(0.0, length, side * curvature * random.uniform(0, 0.5))]
    if kind == "bow":
        turn = side * curvature * random.uniform(1.4, 3.4)
        return [(0.0, length * 0.6, turn / 2)] * 2
    if kind == "loop":
        turn = side * random.uniform(5.2, 6.6)
        return [(0.0, length * random.uniform(0.3, 0.5), turn / 4) for _ in range(4)]
    if kind == "hook":
        bend = side * random.uniform(1.8, 3.6)
        hook = [(0.0, length * 0.7, 0.0), (0.0, length * 0.25, bend / 2), (0.0, length * 0.25, bend / 2)]
        return hook if random.uniform() < 0.5 else hook[::-1]
    if kind == "wave":
        bend = side * curvature * random.uniform(1.4, 2.6)
        return [(0.0, length * 0.6, bend), (0.0, length * 0.6, -bend)]
    if kind == "zigzag":
        turn = side * random.uniform(1.6, 2.6)
        return [(turn * (-1) ** i if i else 0.0, length * random.uniform(0.4, 0.7), 0.0) for i in range(3)]
    if kind == "corner":
        turn = side * random.uniform(1.2, 2.3)
        return [(0.0, length * random.uniform(0.4, 0.8), 0.0), (turn, length * random.uniform(0.4, 0.8), 0.0)]
    return [(0.0, 0.06, 0.0)]


def _walk(segments: list[Segment], heading: float) -> tuple[Floats, Floats, Floats]:
    """Where the turtle goes from the origin: knots, and its speed at both ends of each piece; bends become arcs of circles."""
    knots: list[Floats] = [np.zeros(2)]
    leave: list[Floats] = []
    arrive: list[Floats] = []
    for turn, length, bend in segments:
        heading += turn
        tight = abs(bend) > 1e-3
        chord = length * np.sin(bend / 2) / (bend / 2) if tight else length
        speed = length / bend * 4 * np.tan(bend / 4) if tight else length
        leave.append(speed * _direction(heading))
        arrive.append(speed * _direction(heading + bend))
        knots.append(knots[-1] + chord * _direction(heading + bend / 2))
        heading += bend
    return np.stack(knots), np.stack(leave), np.stack(arrive)


def _direction(angle: float) -> Floats:
    return np.array([np.cos(angle), np.sin(angle)])


def _fit(strokes: Strokes, random: Random) -> Strokes:
    """The character in the middle of the image, as large as its alphabet's others."""
    inner = [(k[:-1] + k[1:]) / 2 + (leave - arrive) / 8 for k, leave, arrive in strokes]
    ink = np.concatenate([*(knots for knots, _, _ in strokes), *inner])
    low, high = ink.min(0), ink.max(0)
    scale = _EXTENT * random.uniform(0.85, 1.0) / max(float((high - low).max()), 0.3)
    return [((k - (low + high) / 2) * scale + 0.5, leave * scale, arrive * scale) for k, leave, arrive in strokes]


def _stack(characters: list[Strokes]) -> Characters:
    shape = (len(characters), _STROKES, _PIECES, 2)
    knots, leave, arrive = np.zeros((*shape[:2], _PIECES + 1, 2)), np.zeros(shape), np.zeros(shape)
    used = np.zeros(shape[:3], dtype=np.bool_)
    for i, strokes in enumerate(characters):
        for j, (k, out, into) in enumerate(strokes):
            knots[i, j, : len(k)], leave[i, j, : len(out)], arrive[i, j, : len(into)] = k, out, into
            used[i, j, : len(out)] = True
    return Characters(knots, leave, arrive, used)


def _unlike(drafts: Characters, count: int) -> NDArray[np.int64]:
    """Positions of ``count`` drafts, each chosen as the farthest from those before, drawn small and with a thick pen."""
    thick = drafts.draw(np.full(len(drafts.knots), 0.08), 24)
    small = thick.reshape(-1, 12, 2, 12, 2).sum((2, 4), dtype=np.int64).reshape(len(thick), -1)
    chosen, nearest = [0], np.full(len(small), np.iinfo(np.int64).max)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((small - small[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(nearest.argmax()))
    return np.sort(np.array(chosen))
