"""Numbers and settings as one reads them. Text only: what is put into a page is escaped there."""

from __future__ import annotations

import math

from pydantic import JsonValue

from turncoat.report.fields import showable
from turncoat.report.summary import Estimate

REGULARISERS = "train.regularisers"
UNSET = "\N{EN DASH}"
SHORT = {
    "attack.name": "attack",
    "attack.rate": "rate",
    REGULARISERS: "regulariser",
    "attack.goal.name": "goal",
    "attack.goal.target": "target",
    "attack.goal.source": "source",
    "data.name": "data",
    "model.name": "model",
    "network.name": "network",
    "head.name": "head",
}


def percent(value: float, sign: bool = False) -> str:
    """A share as a percentage with one decimal; more where rounding would claim all or none, or a plain 100 and 0."""
    number = value * 100
    mark = "+" if sign and number > 0 else "\N{MINUS SIGN}" if number < 0 else ""
    size = abs(number)
    if size < 1e-9 or abs(size - 100) < 1e-9:
        return f"{mark}{size:.0f}"
    for decimals in (1, 2, 3):
        text = f"{size:.{decimals}f}"
        if float(text) not in (0.0, 100.0):
            return mark + text
    return f"{mark}{text}"


def confidence(value: float) -> str:
    """A network's confidence as a percentage with one decimal; 100 only where it is."""
    return percent(value) if value >= 1 else f"{min(value * 100, 99.9):.1f}"


def bounds(estimate: Estimate, sign: bool = False) -> str:
    """``[96.9, 97.7]``, or nothing where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{percent(estimate.low, sign)}, {percent(estimate.high, sign)}]"


def with_bounds(estimate: Estimate) -> str:
    """``97.3% [96.9, 97.7]``."""
    return f"{percent(estimate.value)}% {bounds(estimate)}".strip()


def over_seeds(asr: Estimate, images: str, interval: str = "Wilson") -> str:
    """What the intervals of several seeds are. images: what each is over; interval: that of one seed."""
    text = f"{asr.seeds} seeds: means with 95% t intervals over seeds, {images} each."
    if asr.kind == "equal seeds":
        text += f" All seeds gave the same attack success, so its interval is the widest of one seed ({interval})."
    return text


def rate(value: float) -> str:
    """A poisoning rate as a percentage, as short as it can be: ``1%``, ``0.5%``."""
    return f"{value * 100:.3g}%"


def amount(value: float, digits: int = 3) -> str:
    """A quantity with so many significant digits, thousands apart."""
    if math.isinf(value):
        return "\N{INFINITY}"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """``0.42 s``, ``37 s``, ``6 min 12 s``, ``2 h 5 min``."""
    if seconds < 99.5:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def shorten(text: str, length: int = 60) -> str:
    """Cut what is too long for a label."""
    return text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


def setting(key: str, value: JsonValue) -> str:
    """A setting's value as one reads it."""
    if key == REGULARISERS and not value:
        return "none"
    if value is None:
        return UNSET
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "attack.rate" and isinstance(value, int | float):
        return rate(value)
    if isinstance(value, dict) and "name" in value:
        others = [f"{name} {setting(name, part)}" for name, part in value.items() if name != "name"]
        return shorten(showable(f"{value['name']} ({', '.join(others)})" if others else str(value["name"])))
    if isinstance(value, list):
        return shorten(", ".join(setting("", item) for item in value))
    return shorten(f"{value:g}" if isinstance(value, float) else showable(str(value)))


def label(key: str) -> str:
    """A setting's name as a column's head."""
    return shorten(SHORT.get(key, key.removeprefix("attack.").removeprefix("train.").removesuffix(".name")), 40)
