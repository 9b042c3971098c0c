"""The networks beside the victim: its clean twin, and for labels alone a twin with as many random wrong labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from torch import nn

from turncoat.attacks.common import AnyFitted, AnyPoisoned
from turncoat.evaluate.rows import Row
from turncoat.experiment.listener import Listener
from turncoat.experiment.record import TwinRecord, now, to_json
from turncoat.experiment.store import WEIGHTS, Store
from turncoat.experiment.task import Task, Trained
from turncoat.train.hooks import Hook
from turncoat.train.memory import peak_memory_mb, release_memory, reset_peak

Figures = list[dict[str, object]]
_COLUMNS = ("seed", "stage", "method", "metric", "group", "value", "low", "high", "n", "seconds")
_NOT_THE_TWINS = {"attack": True, "train": {"start", "late"}}


def find_control(task: Task, poisoned: AnyPoisoned[Any], fitted: AnyFitted[Any]) -> AnyPoisoned[Any] | None:
    """The training set of the random twin, for attacks that falsify labels alone."""
    if fitted.attack.threat_model != "labels" or not poisoned.relabelled:
        return None
    return task.control(poisoned)


def find_twin(
    task: Task, store: Store, listener: Listener, control: AnyPoisoned[Any] | None = None, start: nn.Module | None = None
) -> tuple[nn.Module, TwinRecord]:
    """The clean twin and its record, trained now unless the store has it: the same seeds, the same images without the poison.

    With a ``control`` the random twin: as the victim, on these labels, from ``start``.

    Its weights are always those of the file, so that a twin of this run and one of an earlier run give the same figures.
    """
    key = task.twin if control is None else task.random_twin
    folder = store.twin_folder(key)
    record = store.find_twin(key)
    if record is None:
        with store.claiming(folder):
            record = store.find_twin(key) or _make_twin(task, store, listener, control, start)
    return task.load(folder / WEIGHTS), record


def _make_twin(
    task: Task, store: Store, listener: Listener, control: AnyPoisoned[Any] | None, start: nn.Module | None
) -> TwinRecord:
    method = "clean-twin" if control is None else "random-twin"
    trained = train_network(task, control, method, listener, start=start)
    return write_twin(task, store, trained, method)


def write_twin(task: Task, store: Store, trained: Trained, method: str = "clean-twin", peak: float | None = None) -> TwinRecord:
    """Measure a twin that has been trained and write it. peak: MiB of its training, by default that which has just ended."""
    key, left_out = (task.twin, _NOT_THE_TWINS) if method == "clean-twin" else (task.random_twin, None)
    spent = cost(trained, method, peak)
    clean = task.measure_clean(trained.network, method)
    document = {
        "schema": 1,
        "key": key,
        "config": task.config.model_dump(mode="json", exclude=left_out),
        "rows": as_figures([spent, *clean.rows], task),
        "history": [asdict(epoch) for epoch in trained.history.epochs],
        "parts": clean.parts,
        "created": now(),
    }
    with store.writing(store.twin_folder(key)) as partial:
        task.save(trained.network, partial / WEIGHTS)
        (partial / "twin.json").write_text(to_json(document), encoding="utf-8")
    record = store.find_twin(key)
    assert record is not None
    return record


def train_network(
    task: Task,
    poisoned: AnyPoisoned[Any] | None,
    method: str,
    listener: Listener,
    hooks: Sequence[Hook] = (),
    *,
    start: nn.Module | None = None,
) -> Trained:
    """`Task.train` as a stage of its own, told under the method's name."""
    new_stage()
    return task.train(poisoned, method.replace("-", " "), listener, hooks, start=start)


def cost(trained: Trained, method: str, peak: float | None = None) -> Row:
    """Seconds of a training and its peak memory in MiB, by default that of the one that has just ended."""
    return Row("train", method, "peak_memory_mb", peak_memory_mb() if peak is None else peak, seconds=trained.history.seconds)


def new_stage() -> None:
    """Memory is counted from here on."""
    release_memory()
    reset_peak()


def as_figures(rows: Sequence[Row], task: Task) -> Figures:
    """Rows as they stand in records, with the trial's seed."""
    named = [row.as_dict(task.config.seed) for row in rows]
    return [{column: row[column] for column in _COLUMNS} for row in named]
