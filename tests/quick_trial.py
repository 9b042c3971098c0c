"""A configuration for tests."""

from __future__ import annotations

from typing import Any

QUICK: dict[str, Any] = {
    "data": "digits",
    "model": "small-cnn",
    "attack": {"name": "badnets", "rate": 0.1, "patch": {"size": 2}},
    "train": {"epochs": 0.5, "batch_size": 128},
    "precision": "fp32",
    "threads": 1,
}
"""A trial of a second: not enough to learn much, enough to be measured."""
