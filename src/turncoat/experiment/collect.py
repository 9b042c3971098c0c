"""`collect_garbage`: what a store can do without."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from turncoat.experiment.store import WEIGHTS, open_store


@dataclass(frozen=True)
class Collected:
    """Counts of what was removed, and the bytes that came free."""

    partials: int
    weights: int
    twins: int
    bytes: int


def collect_garbage(folder: str | Path, twins: bool = False) -> Collected:
    """Remove left-overs of killed processes, and the weights of clean twins that no trial keeps (``keep_models: all``).

    A twin that no finished trial refers to may yet be needed by a study that was interrupted: it stays unless ``twins``.
    A trial's own record and figures are never touched. Do not run it while trials run on the same store from another machine.
    """
    store = open_store(Path(folder))
    freed = 0
    leftovers = store.partials()
    for path in leftovers:
        freed += _size(path)
        shutil.rmtree(path, ignore_errors=True)
    wanted: dict[str, bool] = {}
    for trial in store.trials():
        for twin in (trial.record.twin, trial.record.random_twin):
            wanted[twin] = wanted.get(twin, False) or trial.record.config.get("keep_models") == "all"
    weights = orphans = 0
    for path in sorted((store.root / "twins").glob("*")):
        if path.name not in wanted and twins:
            freed += _size(path)
            store.remove(path)
            orphans += 1
        elif not wanted.get(path.name, True) and (path / WEIGHTS).is_file():
            freed += (path / WEIGHTS).stat().st_size
            (path / WEIGHTS).unlink()
            weights += 1
    return Collected(len(leftovers), weights, orphans, freed)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
