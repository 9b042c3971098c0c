"""`run_group`: the trials of a group, from configurations to the store; their victims are trained together, and their twins."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch

from turncoat.attacks.base import Poisoned
from turncoat.errors import TurncoatError
from turncoat.experiment.classification import Classification
from turncoat.experiment.config import Config
from turncoat.experiment.listener import Listener
from turncoat.experiment.setting import Datasets, cpu_threads, settle
from turncoat.experiment.stages import Planted, Ready, plant, run_attack
from turncoat.experiment.store import Store
from turncoat.experiment.together import Group, group_of, train_group, twin_keys, twin_of, victim_of
from turncoat.experiment.trial import TrialResult, write_trial
from turncoat.experiment.twins import find_twin, new_stage, write_twin
from turncoat.train.engine import Diverged
from turncoat.train.memory import peak_memory_mb
from turncoat.train.together import Member


def run_group(
    configs: Sequence[Config], store: Store, listener: Listener, datasets: Datasets, threads: int | None = None
) -> list[TrialResult | Exception]:
    """Trials of a group in the order of their configurations, each as it lies in the store, or what went wrong with it.

    If one is missing all victims are trained again, for the last bits of each depend on who is beside it; what the store has
    stays as it is. threads: of the CPU for the training of all; by default those of this process.
    """
    threads = threads or torch.get_num_threads()
    with cpu_threads(configs[0].threads):
        tasks = [_settle(config, datasets, listener) for config in configs]
        distinct = _distinct(tasks)
        group = group_of(list(distinct))
        twins = twin_keys([task.twin for task in distinct.values()])
        distinct = {key: replace(task, twin_as=twin) for (key, task), twin in zip(distinct.items(), twins, strict=True)}
        with store.claiming(store.group_claim(group.name)):
            members = {key: _Trial(task, group, store, _named(listener, key, distinct)) for key, task in distinct.items()}
            if not all(member.there for member in members.values()):
                _make(list(members.values()), listener, threads)
        return [members[task.key].result() for task in tasks]


@dataclass
class _Trial:
    """A trial of the group. there: in the store from the beginning. seconds: spent on it alone, and its share of the training."""

    task: Classification
    group: Group
    store: Store
    listener: Listener
    planted: Planted | None = None
    victim: Member | None = None
    ready: Ready | None = None
    error: Exception | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.there = False
        try:
            self.there = self._find() is not None
        except TurncoatError as error:  # a broken record
            self.error = error

    def _find(self) -> TrialResult | None:
        found = self.store.find_trial(self.group.key(self.task.key), weights=self.task.config.keep_models != "none")
        return found and TrialResult(found.folder, found.record, cached=False)

    def attempt(self, stage: Callable[[], None]) -> None:
        """Some of its work; what goes wrong is its own affair, an interrupt is not."""
        if self.error is not None:
            return
        started = time.perf_counter()
        try:
            stage()
        except Exception as error:  # noqa: BLE001 - one trial's failure, whatever it is, must not cost the others
            self.error = error
        self.seconds += time.perf_counter() - started

    def prepare(self) -> None:
        """Poison, a new network, and the clean twin where that was not trained with the others."""
        self.planted = plant(self.task, self.listener)
        poisoned = self.planted.poisoned
        assert isinstance(poisoned, Poisoned)
        self.victim = victim_of(self.task, poisoned)
        if not self.there:
            with suppress(Diverged):  # `finish` will tell
                find_twin(self.task, self.store, self.listener)

    def finish(self) -> None:
        """All else, and the record."""
        started = time.perf_counter()
        outcome = run_attack(self.task, self.store, self.listener, self.ready)
        write_trial(self.task, self.store, outcome, self.seconds + time.perf_counter() - started, self.group)

    def result(self) -> TrialResult | Exception:
        """What became of it."""
        if self.error is not None and not self.there:
            return self.error
        found = self._find()
        assert found is not None
        return replace(found, cached=self.there)


def _make(trials: Sequence[_Trial], listener: Listener, threads: int) -> None:
    _make_twins(trials, listener, threads)
    for trial in trials:
        trial.attempt(trial.prepare)
    _train(trials, listener, threads)
    for trial in trials:
        if not trial.there:
            trial.attempt(trial.finish)
        trial.planted = trial.victim = trial.ready = None


def _make_twins(trials: Sequence[_Trial], listener: Listener, threads: int) -> None:
    """The clean twins, if one is missing all of them; what the store has stays as it is. One that diverges is not written."""
    tasks, store = {trial.task.twin: trial.task for trial in trials}, trials[0].store
    if len(tasks) < 2 or not _missing(store, tasks):
        return
    with store.claiming(store.group_claim(group_of(list(tasks)).name)):
        missing = _missing(store, tasks)  # another process may have made them
        if not missing:
            return
        new_stage()
        started = time.perf_counter()
        members = [twin_of(task) for task in tasks.values()]
        outcomes = train_group(trials[0].task, members, [listener] * len(tasks), threads, "clean twin")
        peak = peak_memory_mb()
        for (key, task), outcome in zip(tasks.items(), outcomes, strict=True):
            if key in missing and not isinstance(outcome, Diverged):
                write_twin(task, store, outcome, peak=peak)
        share = (time.perf_counter() - started) / len(trials)
        for trial in trials:
            trial.seconds += share


def _missing(store: Store, twins: Iterable[str]) -> list[str]:
    found: list[str] = []
    for key in twins:
        with suppress(TurncoatError):  # a broken record, which its trial will tell of
            found += [key] if store.find_twin(key) is None else []
    return found


def _train(trials: Sequence[_Trial], listener: Listener, threads: int) -> None:
    """All victims. A copy of another stands in for one that could not be made, so that the rest come out as they would."""
    sound = [trial.victim for trial in trials if trial.victim is not None and trial.error is None]
    if not sound:
        return
    if len(sound) < len(trials) and len({len(victim.data) for victim in sound}) > 1:
        failed = next(trial.error for trial in trials if trial.error is not None)
        raise TurncoatError(f"together: a trial that others are trained with failed ({failed}); mend it, or use --together never")
    stand_in = copy.deepcopy(sound[0].network)
    victims = [
        trial.victim if trial.victim is not None and trial.error is None else replace(sound[0], network=copy.deepcopy(stand_in))
        for trial in trials
    ]
    new_stage()
    started = time.perf_counter()
    outcomes = train_group(trials[0].task, victims, [listener] * len(trials), threads)
    share, peak = (time.perf_counter() - started) / len(trials), peak_memory_mb()
    for trial, outcome in zip(trials, outcomes, strict=True):
        trial.seconds += share
        if trial.planted is not None:
            trial.ready = Ready(trial.planted, outcome, peak)


def _settle(config: Config, datasets: Datasets, listener: Listener) -> Classification:
    task = settle(config, datasets, listener.progress)
    assert isinstance(task, Classification)
    return task


def _distinct(tasks: Sequence[Classification]) -> dict[str, Classification]:
    """By the keys that they would have alone; of equal ones the first, or one whose weights are to be kept."""
    found: dict[str, Classification] = {}
    for task in tasks:
        if task.key not in found or task.config.keep_models != "none":
            found[task.key] = task
    return found


def _named(listener: Listener, key: str, among: dict[str, Classification]) -> Listener:
    """Progress with the trial's place before it: several have one bar."""
    place = f"{list(among).index(key) + 1} of {len(among)} together"

    def step(what: str, done: int, total: int) -> None:
        listener.progress(f"{place}: {what}", done, total)

    return replace(listener, progress=step)
