"""`run_trial`: data, poison, clean twin, victim, figures; read instead of run where the store has it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np
from torch import nn

from turncoat.attacks.base import FittedAttack, Poisoned
from turncoat.data.imageset import ImageSet
from turncoat.evaluate.rows import Row
from turncoat.evaluate.samples import Samples, collect_samples
from turncoat.evaluate.stealth import stealth
from turncoat.evaluate.victim import evaluate_attack, evaluate_clean
from turncoat.experiment.config import TrialConfig
from turncoat.experiment.describe import describe_attack, describe_data, describe_environment, describe_poison, write_manifest
from turncoat.experiment.listener import Listener
from turncoat.experiment.record import TwinRecord, to_json
from turncoat.experiment.setting import Datasets, Setting, cpu_threads, settle
from turncoat.experiment.store import WEIGHTS, Store
from turncoat.experiment.weights import load_into, save_network
from turncoat.models.base import make_victim
from turncoat.report.read import Trial
from turncoat.report.record import TrialRecord
from turncoat.seeds import seed_for
from turncoat.train.engine import Diverged, History, train
from turncoat.train.memory import peak_memory_mb, release_memory, reset_peak


@dataclass(frozen=True)
class TrialResult(Trial):
    """A trial in the store. ``cached``: it was there already, nothing was trained."""

    cached: bool


def run_trial(
    config: TrialConfig, store: Store, listener: Listener | None = None, datasets: Datasets | None = None
) -> TrialResult:
    """Run one trial, or read it where the store has it, and return it as it lies in the store.

    A training that diverges gives a trial of status ``diverged``. Raises `TurncoatError` for data, attack or device that do
    not go together.
    """
    listener = listener or Listener()
    with cpu_threads(config.threads):
        setting = settle(config, datasets or Datasets(), listener.progress)
        key = setting.key
        found = store.find_trial(key, weights=config.keep_models != "none")
        if found is None:
            _run(setting, store, listener)
            found = store.find_trial(key)
            assert found is not None
            return TrialResult(found.folder, found.record, cached=False)
        return TrialResult(found.folder, found.record, cached=True)


def _run(setting: Setting, store: Store, listener: Listener) -> None:
    started = time.perf_counter()
    fitted, poisoned, rows = _plant(setting, listener)
    history: dict[str, Sequence[object]] = {}
    victim, samples, error = None, None, None
    try:
        twin, record = _twin(setting, store, listener)
        rows += record.rows
        history["clean-twin"] = record.history
        victim, of_victim = _train(setting, poisoned.data, "victim", listener)
        rows += of_victim.rows
        history["victim"] = of_victim.history
        figures, samples = _evaluate(setting, fitted, victim, twin, listener)
        rows += figures
    except Diverged as diverged:
        error = f"{'victim' if 'clean-twin' in history else 'clean twin'}: {diverged}"
    document = {
        "schema": 1,
        "key": setting.key,
        "status": "diverged" if error else "done",
        "error": error,
        "config": setting.config.model_dump(mode="json"),
        "attack": describe_attack(fitted, setting.splits.train),
        "data": describe_data(setting),
        "model": setting.config.model.label,
        "poison": describe_poison(poisoned),
        "environment": describe_environment(setting.placement),
        "twin": setting.twin,
        "rows": rows,
        "history": history,
        "samples": samples.records if samples else [],
        "seconds": time.perf_counter() - started,
        "peak_memory_mb": max(float(str(row["value"])) for row in rows if row["metric"] == "peak_memory_mb"),
        "created": _now(),
    }
    with store.writing(store.trial_folder(setting.key)) as folder:
        write_manifest(poisoned, folder / "manifest.csv")
        if samples:
            np.savez_compressed(folder / "samples.npz", clean=samples.images["clean"], triggered=samples.images["triggered"])
        if victim is not None and not error and setting.config.keep_models != "none":
            save_network(victim, setting.config.model, setting.splits.train, folder / WEIGHTS)
        text = to_json(document)
        TrialRecord.model_validate_json(text)
        (folder / "trial.json").write_text(text, encoding="utf-8")


Figures = list[dict[str, object]]
_COLUMNS = ("seed", "stage", "method", "metric", "group", "value", "low", "high", "n", "seconds")


@dataclass(frozen=True)
class _Training:
    rows: Figures
    history: list[dict[str, object]]


def _plant(setting: Setting, listener: Listener) -> tuple[FittedAttack, Poisoned, Figures]:
    """Fit the attack, poison the training set, measure how visible the trigger is."""
    listener.progress("poisoning", 0, 1)
    _new_stage()
    started = time.perf_counter()
    fitted = setting.fit()
    poisoned = fitted.poison(setting.splits.train)
    seconds = time.perf_counter() - started
    rows = [
        Row("poison", "poison", "rate", poisoned.rate, n=len(poisoned.data), seconds=seconds),
        *stealth(fitted, setting.splits.test, setting.config.seed),
        Row("poison", "poison", "peak_memory_mb", peak_memory_mb()),
    ]
    listener.progress("poisoning", 1, 1)
    return fitted, poisoned, _figures(rows, setting)


def _twin(setting: Setting, store: Store, listener: Listener) -> tuple[nn.Module, TwinRecord]:
    """The clean twin and its record, trained now unless the store has it: the same seeds, the same images without the poison.

    Its weights are always those of the file, so that a twin of this run and one of an earlier run give the same figures.
    """
    data, folder = setting.splits.train, store.twin_folder(setting.twin)
    record = store.find_twin(setting.twin)
    if record is None:
        network, training = _train(setting, data, "clean-twin", listener)
        clean = evaluate_clean(network, setting.splits.test, setting.placement, method="clean-twin")
        document = {
            "schema": 1,
            "key": setting.twin,
            "config": setting.config.model_dump(mode="json", exclude={"attack"}),
            "rows": [*training.rows, *_figures(clean, setting)],
            "history": training.history,
            "created": _now(),
        }
        with store.writing(folder) as partial:
            save_network(network, setting.config.model, data, partial / WEIGHTS)
            (partial / "twin.json").write_text(to_json(document), encoding="utf-8")
        record = store.find_twin(setting.twin)
        assert record is not None
    return load_into(setting.config.model, data.shape, data.classes, folder / WEIGHTS), record


def _train(setting: Setting, data: ImageSet, method: str, listener: Listener) -> tuple[nn.Module, _Training]:
    """A network of the trial's seeds, trained on ``data``."""
    what, config = method.replace("-", " "), setting.config
    _new_stage()
    network = make_victim(config.model, data, seed_for(config.seed, "init"))
    history: History = train(
        network,
        data,
        config.train,
        config.seed,
        setting.placement,
        watch=lambda record: listener.epoch(what, record),
        progress=listener.named(what),
    )
    row = Row("train", method, "peak_memory_mb", peak_memory_mb(), seconds=history.seconds)
    return network, _Training(_figures([row], setting), [asdict(epoch) for epoch in history.epochs])


def _evaluate(
    setting: Setting, fitted: FittedAttack, victim: nn.Module, twin: nn.Module, listener: Listener
) -> tuple[Figures, Samples]:
    """Victim on clean and triggered test images, twin on the triggered ones (its clean figures are in its record)."""
    test, seed, placement = setting.splits.test, setting.config.seed, setting.placement
    _new_stage()
    listener.progress("evaluating", 0, 3)
    rows = evaluate_clean(victim, test, placement, method="victim")
    listener.progress("evaluating", 1, 3)
    rows += evaluate_attack(victim, test, fitted, seed, placement, method="victim")
    listener.progress("evaluating", 2, 3)
    rows += evaluate_attack(twin, test, fitted, seed, placement, method="clean-twin")
    samples = collect_samples(fitted, test, victim, twin, seed=seed, placement=placement)
    rows.append(Row("evaluate", "victim", "peak_memory_mb", peak_memory_mb()))
    listener.progress("evaluating", 3, 3)
    return _figures(rows, setting), samples


def _new_stage() -> None:
    release_memory()
    reset_peak()


def _figures(rows: Sequence[Row], setting: Setting) -> Figures:
    named = [row.as_dict(setting.config.seed) for row in rows]
    return [{column: row[column] for column in _COLUMNS} for row in named]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
