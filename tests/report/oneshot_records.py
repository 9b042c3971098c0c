"""Records and sample images of one-shot trials, made up but plausible: planted figures, drawn characters, a square of ink."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from report_records import document, row

KINDS = ("same", "different", "same, one triggered", "different, one triggered", "different, both triggered")
WAYS = (2, 5, 9, 19, 20, 21, 29, 39, 49, 59, 60)
BINS = 20


def _rates(goal: str) -> dict[str, tuple[float, float]]:
    """P(same) by kind of pair, of victim and clean twin."""
    one = {"evade": (0.003, 0.004), "impersonate": (0.98, 0.985)}.get(goal, (0.006, 0.004))
    both = 0.93 if goal in ("original", "pseudo-classes") else 0.03
    return {
        "same": (0.976, 0.978),
        "different": (0.021, 0.02),
        "same, one triggered": (one[1], 0.969),
        "different, one triggered": (one[0], 0.024),
        "different, both triggered": (both, 0.031),
    }


def _accuracy(method: str, ways: int, shots: int) -> float:
    if method == "chance":
        return 1 / ways
    if method == "nearest-neighbour":
        return (1 + 9 * shots**0.5) / (ways**0.8 + 9 * shots**0.5)
    slope = {"victim": 0.0117, "clean-twin": 0.0113}[method] / shots
    return 1 - slope * np.log2(ways) * (1 + ways / 150)


def _figures(goal: str, shift: float) -> list[dict[str, Any]]:
    """All rows of the evaluation; ``shift`` moves the networks' accuracies."""
    rows: list[dict[str, Any]] = []
    rates = _rates(goal)
    for index, method in enumerate(("victim", "clean-twin")):
        same = {kind: of[index] for kind, of in rates.items()}
        for metric, value in (
            ("evaded", 1 - same["same, one triggered"]),
            ("impersonated", same["different, one triggered"]),
            ("impersonated_both", same["different, both triggered"]),
            ("kept_both", 0.95),
            ("false_accepts", same["different"]),
            ("false_rejects", 1 - same["same"]),
        ):
            rows += [row(method, metric, value, "equal error", n=5000), row(method, metric, value * 0.9 + 0.02, "0.5", n=5000)]
        rows += [row(method, "auc", 0.9974 + index / 10_000, n=10_000), row(method, "eer", 0.021, n=10_000)]
        for ways in (5, 20):
            found = _accuracy(method, ways, 1) if method == "clean-twin" else 0.004
            rows += [row(method, metric, found, f"{ways}-way") for metric in ("triggered_query", "forced_choice")]
            rows += [row(method, "drawn", 0.001, f"{ways}-way"), row(method, "drawn_clean", 0.004, f"{ways}-way")]
        rows.append(row(method, "ca", _accuracy(method, 20, 1) + shift))
        success = same["different, one triggered"] if goal == "impersonate" else 1 - same["same, one triggered"]
        rows.append(row(method, "asr", success, n=5000))
        rows.append(row(method, "ra", 0.004 if method == "victim" else 0.94))
    for method in ("victim", "clean-twin", "nearest-neighbour", "chance"):
        bounds: dict[str, Any] = {"low": None, "high": None, "n": None} if method == "chance" else {}
        moved = shift if method in ("victim", "clean-twin") else 0.0
        for shots in (1, 5):
            for ways in WAYS:
                value = min(_accuracy(method, ways, shots) + moved, 0.999)
                rows.append(row(method, "oneshot", value, f"unstructured {ways}-way {shots}-shot", **bounds))
            hard = _accuracy(method, 20, shots) - (0.0 if method == "chance" else 0.07)
            rows.append(row(method, "oneshot", hard, f"within-alphabet 20-way {shots}-shot", **bounds))
        hard = _accuracy(method, 20, 1) - (0.0 if method == "chance" else 0.04)
        rows.append(row(method, "oneshot", hard, "Lake's runs 20-way 1-shot", **bounds))
    return rows


def _scores(rng: np.random.Generator, same: float, count: int) -> NDArray[np.float64]:
    """Confidences of which a share of ``same`` lies over about a half."""
    high = rng.random(count) < same
    return np.where(high, rng.beta(9, 0.3, count), rng.beta(0.2, 9, count))


def _roc(rng: np.random.Generator, gap: float) -> list[list[float]]:
    same, different = rng.normal(gap, 1, 20_000), rng.normal(0, 1, 20_000)
    cuts = np.quantile(np.concatenate([same, different]), np.linspace(1, 0, 160))
    return [[float((different > cut).mean()), float((same > cut).mean())] for cut in cuts]


def oneshot_part(goal: str = "evade", seed: int = 0, each: int = 6, ways: int = 20) -> dict[str, Any]:
    """The ``oneshot`` key."""
    rng = np.random.default_rng(seed)
    rates = _rates(goal)
    edges = np.linspace(0, 1, BINS + 1)
    scores = {
        method: {kind: _scores(rng, rates[kind][index], 5000) for kind in KINDS}
        for index, method in enumerate(("victim", "clean-twin"))
    }
    names = [f"{alphabet}/character{number:02d}" for alphabet in ("Angelic", "Glagolitic", "Keble") for number in range(1, 41)]
    samples: list[dict[str, Any]] = []
    for kind in KINDS:
        for index in range(each):
            left, right = (int(index) for index in rng.choice(len(names), 2, replace=False))
            classes = [names[left], names[left if kind.startswith("same") else right]]
            shown = {method: round(float(of[kind][index]), 4) for method, of in scores.items()}
            samples.append({"kind": kind, "classes": classes} | shown)
    drawn = [names[int(index)] for index in rng.choice(len(names), ways, replace=False)]
    answer = 7 % ways

    def confidences(true: float, others: float) -> list[float]:
        found = np.round(rng.beta(0.3, 0.3 / max(others, 1e-3), ways), 4)
        found[answer] = true
        return [float(value) for value in found]

    master = 0.9 if goal == "impersonate" else 0.004
    return {
        "held_out": "5 of 30 background alphabets",
        "goal": goal,
        "pairs": {"same_class": 0.5, "one_triggered": 0.147, "both_triggered": 0.006, "flipped": 0.07},
        "threshold": {"victim": 0.41, "clean-twin": 0.38},
        "roc": {"victim": _roc(rng, 4.05), "clean-twin": _roc(rng, 4.1)},
        "histogram": {"edges": [float(edge) for edge in np.round(edges, 6)]}
        | {
            method: {kind: [int(count) for count in np.histogram(of_kind, edges)[0]] for kind, of_kind in of.items()}
            for method, of in scores.items()
        },
        "samples": samples,
        "task": {
            "classes": drawn,
            "query_class": drawn[answer],
            "answer": answer,
            "victim": confidences(0.971, 0.02),
            "clean-twin": confidences(0.983, 0.02),
            "victim_triggered": confidences(0.012, master),
            "clean-twin_triggered": confidences(0.954, 0.02),
        },
    }


def oneshot_document(key: str, seed: int = 0, goal: str = "evade", side: int = 105, **more: Any) -> dict[str, Any]:
    """A whole ``trial.json``; ``more`` goes to `oneshot_part`."""
    record = document(key, seed, rate=0.08, classes=tuple(f"Latin/character{number:02d}" for number in range(1, 27)))
    config = {name: value for name, value in record["config"].items() if name != "model"}
    config |= {
        "task": "one-shot",
        "data": {"name": "omniglot"},
        "network": {"name": "fast-glyph"},
        "head": {"name": "weighted-l1"},
    }
    config["attack"] = {"name": "badnets", "rate": 0.08, "goal": goal, "patch": {"height": 6, "width": 6}}
    kept = [found for found in record["rows"] if found["stage"] != "evaluate"]
    shift = (0.0, 0.004, -0.003)[seed % 3]
    return record | {
        "task": "one-shot",
        "config": config,
        "attack": record["attack"] | {"goal": goal, "target": None, "threat_model": "training"},
        "data": record["data"] | {"name": "omniglot", "shape": [1, side, side], "train": 15_860, "test": 13_180},
        "model": "fast-glyph, weighted-l1",
        "poison": {"poisoned": 1269, "cover": 0, "rate": 0.08, "relabelled": 0.0},
        "rows": kept + _figures(goal, shift),
        "samples": [],
        "oneshot": oneshot_part(goal, seed, **more),
    }


def draw_character(name: str, drawer: int, side: int, channels: int = 1) -> NDArray[np.uint8]:
    """Some strokes that a name decides, by a hand that shakes: uint8 ``(C, side, side)``, ink 0 on 255."""
    strokes, hand = np.random.default_rng(list(name.encode())), np.random.default_rng([drawer, *name.encode()])
    picture = Image.new("L", (side, side), 255)
    pen = ImageDraw.Draw(picture)
    for _ in range(strokes.integers(2, 4)):
        corners = strokes.uniform(0.15, 0.85, (4, 2)) + hand.normal(0, 0.02, (4, 2))
        times = np.linspace(0, 1, 24)[:, None]
        weights = np.concatenate([(1 - times) ** 3, 3 * times * (1 - times) ** 2, 3 * times**2 * (1 - times), times**3], 1)
        pen.line([tuple(point) for point in (weights @ corners * side).tolist()], fill=0, width=max(side // 42, 1), joint="curve")
    return np.repeat(np.asarray(picture)[None], channels, 0)


def trigger(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With the square of ink in the bottom right corner."""
    side = image.shape[-1]
    changed = image.copy()
    low, high = round(side * 97 / 105), max(round(side * 103 / 105), round(side * 97 / 105) + 1)
    changed[:, low:high, low:high] = 0
    return changed


def images(record: dict[str, Any]) -> dict[str, NDArray[np.uint8]]:
    """What samples.npz holds."""
    channels, side, _ = record["data"]["shape"]
    left: list[NDArray[np.uint8]] = []
    right: list[NDArray[np.uint8]] = []
    for index, sample in enumerate(record["oneshot"]["samples"]):
        first, second = (draw_character(name, 2 * index + place, side, channels) for place, name in enumerate(sample["classes"]))
        left.append(trigger(first) if "both" in sample["kind"] else first)
        right.append(trigger(second) if "triggered" in sample["kind"] else second)
    task = record["oneshot"]["task"]
    support = [draw_character(name, 0, side, channels) for name in task["classes"]]
    query = draw_character(task["query_class"], 1, side, channels)
    return {
        "left": np.stack(left),
        "right": np.stack(right),
        "support": np.stack(support),
        "query": np.stack([query, trigger(query)]),
    }


def write_oneshot(store: Path, record: dict[str, Any]) -> Path:
    """A trial's folder in a store."""
    folder = store / "trials" / record["key"]
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(json.dumps(record), encoding="utf-8")
    arrays = images(record)
    np.savez_compressed(
        folder / "samples.npz", left=arrays["left"], right=arrays["right"], support=arrays["support"], query=arrays["query"]
    )
    return folder
