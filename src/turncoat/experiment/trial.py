"""`run_trial`: data, poison, clean twin, victim, figures; read instead of run where the store has it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
from torch import nn

from turncoat.attacks.base import FittedAttack, Poisoned
from turncoat.attacks.control import random_labels
from turncoat.evaluate.rows import Row
from turncoat.evaluate.stealth import stealth
from turncoat.experiment.config import AnyConfig
from turncoat.experiment.describe import describe_attack, describe_data, describe_environment, describe_poison, write_manifest
from turncoat.experiment.listener import Listener
from turncoat.experiment.record import TwinRecord, to_json
from turncoat.experiment.setting import Datasets, cpu_threads, settle
from turncoat.experiment.store import ATTACK, WEIGHTS, Store
from turncoat.experiment.task import Measured, Parts, Task, Trained
from turncoat.experiment.weights import save_attack
from turncoat.oneshot.measure import merged
from turncoat.report.read import Trial
from turncoat.report.record import TrialRecord
from turncoat.seeds import generator
from turncoat.train.engine import Diverged
from turncoat.train.hooks import Hook
from turncoat.train.memory import peak_memory_mb, release_memory, reset_peak

Figures = list[dict[str, object]]
_COLUMNS = ("seed", "stage", "method", "metric", "group", "value", "low", "high", "n", "seconds")


@dataclass(frozen=True)
class TrialResult(Trial):
    """A trial in the store. ``cached``: it was there already, nothing was trained."""

    cached: bool


def run_trial(config: AnyConfig, store: Store, listener: Listener | None = None, datasets: Datasets | None = None) -> TrialResult:
    """Run one trial, or read it where the store has it, and return it as it lies in the store.

    A training that diverges gives a trial of status ``diverged``. Raises `TurncoatError` for data, attack or device that do
    not go together.
    """
    listener = listener or Listener()
    with cpu_threads(config.threads):
        task = settle(config, datasets or Datasets(), listener.progress)
        found = store.find_trial(task.key, weights=config.keep_models != "none")
        if found is None:
            _run(task, store, listener)
            found = store.find_trial(task.key)
            assert found is not None
            return TrialResult(found.folder, found.record, cached=False)
        return TrialResult(found.folder, found.record, cached=True)


def _run(task: Task, store: Store, listener: Listener) -> None:
    started = time.perf_counter()
    outcome = _train_clean(task, store, listener) if task.config.attack is None else _attack(task, store, listener)
    rows, fitted, poisoned = outcome.rows, outcome.fitted, outcome.poisoned
    document = {
        "schema": 1,
        "key": task.key,
        "task": task.kind,
        "status": "diverged" if outcome.error else "done",
        "error": outcome.error,
        "config": task.config.model_dump(mode="json"),
        "attack": {"name": "none"} if fitted is None else describe_attack(fitted, task.clean),
        "data": describe_data(task),
        "model": task.model_label,
        "poison": None if poisoned is None else describe_poison(poisoned),
        "environment": describe_environment(task.placement),
        "twin": task.twin,
        "random_twin": task.random_twin if "random-twin" in outcome.history else "",
        "rows": rows,
        "history": outcome.history,
        "samples": outcome.shown.samples,
        "seconds": time.perf_counter() - started,
        "peak_memory_mb": max((float(str(row["value"])) for row in rows if row["metric"] == "peak_memory_mb"), default=None),
        "created": _now(),
    }
    if outcome.parts:
        document["oneshot"] = outcome.parts
    with store.writing(store.trial_folder(task.key)) as folder:
        if poisoned is not None:
            write_manifest(poisoned, folder / "manifest.csv")
        if outcome.shown.arrays:
            np.savez_compressed(folder / "samples.npz", allow_pickle=False, **outcome.shown.arrays)
        if outcome.network is not None and not outcome.error and task.config.keep_models != "none":
            task.save(outcome.network, folder / WEIGHTS)
        if fitted is not None and not outcome.error:
            save_attack(fitted, folder / ATTACK)
        text = to_json(document)
        TrialRecord.model_validate_json(text)
        (folder / "trial.json").write_text(text, encoding="utf-8")


@dataclass
class _Outcome:
    """What a trial has come to. network: the victim, or the clean network of a trial without an attack."""

    rows: Figures = field(default_factory=list[dict[str, object]])
    history: dict[str, Sequence[object]] = field(default_factory=dict[str, Sequence[object]])
    parts: Parts = field(default_factory=dict[str, Any])
    shown: Measured = field(default_factory=lambda: Measured([]))
    fitted: FittedAttack | None = None
    poisoned: Poisoned | None = None
    network: nn.Module | None = None
    error: str | None = None


def _attack(task: Task, store: Store, listener: Listener) -> _Outcome:
    """Poison, clean twin, victim, and both on clean and triggered images."""
    fitted, poisoned, rows = _plant(task, listener)
    outcome = _Outcome(rows, fitted=fitted, poisoned=poisoned)
    failing = "clean twin"
    try:
        twin, record = _twin(task, store, listener)
        outcome.rows += cast(Figures, record.rows)
        outcome.history["clean-twin"] = record.history
        start = twin if task.config.train.start == "twin" else None
        control = _control(task, poisoned, fitted)
        if control is not None:
            failing = "random twin"
            random, random_record = _twin(task, store, listener, control, start)
            outcome.rows += cast(Figures, random_record.rows)
            outcome.rows += _figures(task.measure_control(fitted, random, "random-twin"), task)
            outcome.history["random-twin"] = random_record.history
        failing = "victim"
        trained = _train(task, poisoned, "victim", listener, fitted.hooks(), start=start)
        outcome.network = trained.network
        if fitted.attack.threat_model == "training":  # only now is there a trigger to look at
            outcome.rows += _figures(stealth(fitted, task.test, task.config.seed), task)
        outcome.rows += _figures([_cost(trained, "victim")], task)
        outcome.history["victim"] = [asdict(epoch) for epoch in trained.history.epochs]
        figures, outcome.shown = _evaluate(task, fitted, trained.network, twin, listener)
        outcome.rows += figures
        outcome.parts = merged(record.parts, outcome.shown.parts, trained.parts)
    except Diverged as diverged:
        outcome.error = f"{failing}: {diverged}"
    return outcome


def _train_clean(task: Task, store: Store, listener: Listener) -> _Outcome:
    """The clean network alone, which the store has as a twin; its figures stand where a victim's would."""
    try:
        network, record = _twin(task, store, listener)
    except Diverged as diverged:
        return _Outcome(error=f"clean network: {diverged}")
    rows = [{**row, "method": _as_victim(str(row["method"]))} for row in cast(Figures, record.rows)]
    parts = {key: {_as_victim(name): part for name, part in value.items()} for key, value in record.parts.items()}
    return _Outcome(rows, {"victim": record.history}, parts, network=network)


def _as_victim(method: str) -> str:
    return "victim" if method == "clean-twin" else method


def _plant(task: Task, listener: Listener) -> tuple[FittedAttack, Poisoned, Figures]:
    """Fit the attack, poison the training set, measure how visible the trigger is."""
    listener.progress("poisoning", 0, 1)
    _new_stage()
    started = time.perf_counter()
    fitted = task.fit()
    poisoned = fitted.poison(task.clean)
    seconds = time.perf_counter() - started
    rows = [
        Row("poison", "poison", "rate", poisoned.rate, n=len(poisoned.data), seconds=seconds),
        Row("poison", "poison", "relabelled", poisoned.relabelled, n=len(poisoned.data)),
        *([] if poisoned.class_rate is None else [Row("poison", "poison", "class_rate", poisoned.class_rate)]),
        *([] if fitted.attack.threat_model == "training" else stealth(fitted, task.test, task.config.seed)),
        Row("poison", "poison", "peak_memory_mb", peak_memory_mb()),
    ]
    listener.progress("poisoning", 1, 1)
    return fitted, poisoned, _figures(rows, task)


_NOT_THE_TWINS = {"attack": True, "train": {"start", "late"}}


def _control(task: Task, poisoned: Poisoned, fitted: FittedAttack) -> Poisoned | None:
    """The training set of the random twin, for attacks that falsify labels alone."""
    if fitted.attack.threat_model != "labels" or not poisoned.relabelled:
        return None
    return random_labels(poisoned, generator(task.config.seed, "control"))


def _twin(
    task: Task, store: Store, listener: Listener, control: Poisoned | None = None, start: nn.Module | None = None
) -> tuple[nn.Module, TwinRecord]:
    """The clean twin and its record, trained now unless the store has it: the same seeds, the same images without the poison.

    With a ``control`` the random twin: as the victim, on these labels, from ``start``.

    Its weights are always those of the file, so that a twin of this run and one of an earlier run give the same figures.
    """
    key, method = (task.twin, "clean-twin") if control is None else (task.random_twin, "random-twin")
    folder = store.twin_folder(key)
    record = store.find_twin(key)
    if record is None:
        trained = _train(task, control, method, listener, start=start)
        clean = task.measure_clean(trained.network, method)
        document = {
            "schema": 1,
            "key": key,
            "config": task.config.model_dump(mode="json", exclude=_NOT_THE_TWINS if control is None else None),
            "rows": _figures([_cost(trained, method), *clean.rows], task),
            "history": [asdict(epoch) for epoch in trained.history.epochs],
            "parts": clean.parts,
            "created": _now(),
        }
        with store.writing(folder) as partial:
            task.save(trained.network, partial / WEIGHTS)
            (partial / "twin.json").write_text(to_json(document), encoding="utf-8")
        record = store.find_twin(key)
        assert record is not None
    return task.load(folder / WEIGHTS), record


def _train(
    task: Task,
    poisoned: Poisoned | None,
    method: str,
    listener: Listener,
    hooks: Sequence[Hook] = (),
    *,
    start: nn.Module | None = None,
) -> Trained:
    _new_stage()
    return task.train(poisoned, method.replace("-", " "), listener, hooks, start=start)


def _cost(trained: Trained, method: str) -> Row:
    return Row("train", method, "peak_memory_mb", peak_memory_mb(), seconds=trained.history.seconds)


def _evaluate(
    task: Task, fitted: FittedAttack, victim: nn.Module, twin: nn.Module, listener: Listener
) -> tuple[Figures, Measured]:
    """Victim on clean and triggered test images, twin on the triggered ones (its clean figures are in its record)."""
    _new_stage()
    listener.progress("evaluating", 0, 2)
    clean = task.measure_clean(victim, "victim")
    listener.progress("evaluating", 1, 2)
    attacked = task.measure_attack(fitted, victim, twin)
    rows = [*clean.rows, *attacked.rows, Row("evaluate", "victim", "peak_memory_mb", peak_memory_mb())]
    listener.progress("evaluating", 2, 2)
    parts = merged(clean.parts, attacked.parts)
    return _figures(rows, task), Measured(rows, parts, attacked.samples, attacked.arrays)


def _new_stage() -> None:
    release_memory()
    reset_peak()


def _figures(rows: Sequence[Row], task: Task) -> Figures:
    named = [row.as_dict(task.config.seed) for row in rows]
    return [{column: row[column] for column in _COLUMNS} for row in named]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
