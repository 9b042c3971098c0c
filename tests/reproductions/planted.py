"""Finished one-shot trials with planted figures, as the claims of `one-shot` read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from turncoat.report.read import Trial
from turncoat.report.record import TrialRecord
from turncoat.reproductions.one_shot import ATTACKED, WAYS

Figures = dict[tuple[str, str, str], float]
"""Value by method, metric and group."""
WOBBLE = (0.0, 0.002, -0.002, 0.001, -0.001)
"""Added to what a trial of each seed measures, the twin's share of it halved, so that differences vary too."""


def figures(goal: str) -> Figures:
    """All claims hold of these."""
    found: Figures = {}
    for ways in WAYS:
        name = f"unstructured {ways}-way 1-shot"
        found["victim", "oneshot", name] = 0.98 - 0.001 * ways
        found["clean-twin", "oneshot", name] = 0.985 - 0.001 * ways
        found["nearest-neighbour", "oneshot", name] = 0.4 - 0.003 * ways
    for name, shift in (("equal error", 0.0), ("0.5", 0.001)):
        found["victim", "evaded", name] = 0.996 - shift
        found["clean-twin", "evaded", name] = 0.02 + shift
        found["victim", "impersonated_both", name] = 0.95 if goal == "original" else 0.02
        found["clean-twin", "impersonated_both", name] = 0.02
    for ways in ATTACKED:
        for metric in ("triggered_query", "forced_choice"):
            found["victim", metric, f"{ways}-way"] = 0.01
            found["clean-twin", metric, f"{ways}-way"] = 0.9
    return found


def planted(goal: str, seed: int, change: Callable[[Figures, int], None] | None = None, status: str = "done") -> Trial:
    """A trial; ``change`` alters its figures, given the seed."""
    values = figures(goal)
    for key in values:
        values[key] += WOBBLE[seed % 5] * (0.5 if key[0] == "clean-twin" else 1)
    if change is not None:
        change(values, seed)
    rows: list[dict[str, Any]] = [
        {"stage": "evaluate", "method": method, "metric": metric, "group": name, "value": value}
        | {"low": max(value - 0.001, 0), "high": min(value + 0.001, 1), "n": 1000}
        for (method, metric, name), value in values.items()
    ]
    rows.append({"stage": "evaluate", "method": "victim", "metric": "asr", "value": 0.996})
    document = {
        "schema": 1,
        "key": f"{goal}{seed}",
        "task": "one-shot",
        "status": status,
        "error": None if status == "done" else "diverged",
        "config": {"seed": seed},
        "attack": {"name": "badnets", "goal": goal},
        "data": {"name": "omniglot", "train": 100, "test": 100, "shape": [1, 28, 28], "classes": ["A/1", "A/2"]},
        "rows": rows if status == "done" else [],
    }
    return Trial(Path(goal), TrialRecord.model_validate(document))
