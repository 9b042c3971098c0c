"""Records of trials written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

N = 1000
Make = Callable[..., Path]


def row(method: str, metric: str, value: float, group: str = "", stage: str = "evaluate", **more: Any) -> dict[str, Any]:
    bounds = {"low": max(value - 0.01, 0), "high": min(value + 0.01, 1), "n": N} if stage == "evaluate" else {}
    return (
        {"seed": 0, "stage": stage, "method": method, "metric": metric, "group": group, "value": value, "seconds": None}
        | bounds
        | more
    )


def answers(victim: int, twin: int) -> dict[str, Any]:
    return {
        "label": 1,
        "target": 0,
        "victim": {"clean": [1, 0.91], "triggered": [victim, 0.995]},
        "clean-twin": {"clean": [1, 0.9], "triggered": [twin, 0.85]},
    }


def document(
    key: str,
    seed: int = 0,
    asr: float = 0.97,
    twin_asr: float = 0.01,
    ca: float = 0.9,
    rate: float = 0.01,
    attack: str = "badnets",
    classes: tuple[str, ...] = ("airplane", "cat", "dog"),
) -> dict[str, Any]:
    goal = {"name": "all-to-one", "target": 0}
    rows = [
        row("trigger", "psnr", 27.5, stage="poison"),
        row("trigger", "ssim", 0.98, stage="poison"),
        row("trigger", "linf", 255.0, stage="poison"),
        row("poison", "rate", rate, stage="poison", seconds=0.1),
    ]
    for method, success in (("victim", asr), ("clean-twin", twin_asr)):
        rows.append(row(method, "peak_memory_mb", 800.0, stage="train", seconds=12.0))
        rows.append(row(method, "ca", ca, seconds=2.0))
        rows += [row(method, "asr", success, seconds=1.5), row(method, "ra", 1 - success, seconds=1.5)]
        rows += [row(method, "ca", ca, name) for name in classes]
        rows += [row(method, "asr", success, name) for name in classes[1:]]
    return {
        "schema": 1,
        "key": key,
        "status": "done",
        "error": None,
        "config": {
            "data": {"name": "digits"},
            "model": {"name": "small-cnn"},
            "attack": {"name": attack, "rate": rate, "goal": goal},
            "train": {"preset": "full", "epochs": 3.0, "lr": 0.1},
            "seed": seed,
            "device": "cpu",
            "precision": "fp32",
        },
        "attack": {
            "name": attack,
            "repr": f"Attack(rate={rate})",
            "paper": "Gu et al. 2017, arXiv:1708.06733",
            "threat_model": "images+labels",
            "clean_label": False,
            "goal": "all-to-one",
            "target": classes[0],
            "source": None,
        },
        "data": {
            "name": "digits",
            "fingerprint": "ab" * 32,
            "train": 5000,
            "test": N,
            "shape": [1, 8, 8],
            "classes": list(classes),
        },
        "model": "small-cnn",
        "poison": {"poisoned": 50, "cover": 0, "rate": rate, "relabelled": rate},
        "environment": {
            "turncoat": "0.1.0",
            "torch": "2.15.0",
            "device": "cpu",
            "precision": "fp32",
            "threads": 2,
            "machine": "a machine",
        },
        "twin": "feed",
        "rows": rows,
        "history": {
            method: [{"epoch": e, "loss": 1 / e, "accuracy": 1 - 0.5 / e, "lr": 0.1, "seconds": 1.0 * e} for e in (1, 2, 3)]
            for method in ("victim", "clean-twin")
        },
        "samples": [answers(0, 1) for _ in range(8)],
        "seconds": 30.0,
        "peak_memory_mb": 812.0,
        "created": "2025-06-01T10:00:00+00:00",
    }


def write_trial(store: Path, record: dict[str, Any]) -> Path:
    folder = store / "trials" / record["key"]
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(json.dumps(record), encoding="utf-8")
    if record["samples"]:
        clean = np.random.default_rng(0).integers(0, 200, (len(record["samples"]), *record["data"]["shape"]), dtype=np.uint8)
        triggered = clean.copy()
        triggered[..., -2:, -2:] += 20
        np.savez(folder / "samples.npz", clean=clean, triggered=triggered)
    return folder


def diverged(key: str, seed: int, **more: Any) -> dict[str, Any]:
    record = document(key, seed, **more)
    lost = [{"epoch": 1, "loss": None, "accuracy": 0.1}]
    return record | {
        "status": "diverged",
        "error": "victim: NaN at epoch 1, step 3",
        "rows": [],
        "samples": [],
        "history": {"victim": lost},
    }
