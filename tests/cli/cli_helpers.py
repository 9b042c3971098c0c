"""What the tests of the command line share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

QUICK: dict[str, Any] = {
    "data": "digits",
    "model": "small-cnn",
    "attack": {"name": "badnets", "rate": 0.1, "patch": {"size": 2}},
    "train": {"epochs": 0.5, "batch_size": 128},
    "precision": "fp32",
    "threads": 1,
}


def write(path: Path, document: object) -> str:
    """A YAML file (JSON is YAML), and its path for the command line."""
    path.write_text(json.dumps(document))
    return str(path)
