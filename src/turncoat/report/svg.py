"""The little SVG that the figures need: escaped elements, scales and axes. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Attribute = str | float


def element(tag: str, *children: str, **attributes: Attribute) -> Markup:
    """An element; text children and attribute values are escaped. ``_`` in a name is ``-``, ``class_`` is ``class``."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"' for key, value in attributes.items())
    inside = Markup().join(children)
    return Markup(f"<{tag}{written}>{inside}</{tag}>") if children else Markup(f"<{tag}{written}/>")  # noqa: S704


def _text(value: Attribute) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def figure(identity: str, size: tuple[int, int], title: str, description: str, content: Sequence[Markup]) -> Markup:
    """An ``svg`` of width and height that scales with its box, with its title and description for those who cannot see it."""
    return element(
        "svg",
        element("title", title, id=f"{identity}-t"),
        element("desc", description, id=f"{identity}-d"),
        *content,
        viewBox=f"0 0 {size[0]} {size[1]}",
        role="img",
        aria_labelledby=f"{identity}-t {identity}-d",
        class_="chart",
    )


@dataclass(frozen=True)
class Scale:
    """From values to pixels: linear, or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._of(self.low), self._of(self.high)
        place = (self._of(value) - low) / (high - low) if high > low else 0.5
        return self.start + (self.end - self.start) * min(max(place, -0.02), 1.02)

    def _of(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.log else value


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values between low and high, about ``count`` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: float, y: float, words: str, anchor: str = "middle", class_: str = "") -> Markup:
    """A label."""
    return element("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def marker(x: float, y: float, shape: int, class_: str, words: str) -> Markup:
    """A point of one of six shapes, with a text that shows under the pointer."""
    size = 4.0
    corners = (
        None,
        ((-1, 0), (0, -1), (1, 0), (0, 1)),
        ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
        ((0, -1.1), (1, 0.8), (-1, 0.8)),
        ((0, 1.1), (1, -0.8), (-1, -0.8)),
        ((-1, -0.4), (-0.4, -1), (0.4, -1), (1, -0.4), (1, 0.4), (0.4, 1), (-0.4, 1), (-1, 0.4)),
    )[shape % 6]
    told = element("title", words)
    if corners is None:
        return element("circle", told, cx=x, cy=y, r=size, class_=class_)
    points = " ".join(f"{x + size * 1.15 * dx:.1f},{y + size * 1.15 * dy:.1f}" for dx, dy in corners)
    return element("polygon", told, points=points, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A line through points; it breaks where one is not finite."""
    steps: list[str] = []
    pen = "M"
    for x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            steps.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
        else:
            pen = "M"
    return element("path", d="".join(steps), class_=class_)


def area(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], class_: str) -> Markup:
    """What lies between two lines of finite points, both from left to right."""
    outline = [*upper, *reversed(lower)]
    return element("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in outline) + "Z", class_=class_)


def bar(x: tuple[float, float], y: tuple[float, float], class_: str, words: str) -> Markup:
    """An upright rectangle between two places each way, with a text that shows under the pointer."""
    (left, right), (top, bottom) = sorted(x), sorted(y)
    told = element("title", words)
    return element("rect", told, x=left, y=top, width=right - left, height=bottom - top, class_=class_)
