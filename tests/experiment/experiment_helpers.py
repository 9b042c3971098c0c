"""What the tests of trials share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from turncoat.experiment.listener import Listener


class Trained:
    """Listens to a run and counts the trainings by name."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.listener = Listener(epoch=lambda what, record: self.names.append(what))


def document(store: Path, key: str) -> dict[str, Any]:
    return json.loads((store / "trials" / key / "trial.json").read_text())


def metric_rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows without the columns that time and memory may move."""
    kept = [row for row in document["rows"] if row["metric"] != "peak_memory_mb"]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in kept]
