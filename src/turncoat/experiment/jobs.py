"""`prepare`: a study's cells, checked, as jobs with keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from turncoat.errors import TurncoatError
from turncoat.experiment.config import Config
from turncoat.experiment.estimate import Kind, kind_of
from turncoat.experiment.grid import Cell
from turncoat.experiment.key import AFTERWARDS
from turncoat.experiment.setting import Datasets, cpu_threads, settle
from turncoat.experiment.store import Store
from turncoat.experiment.task import Task
from turncoat.experiment.together import Choice, Group, groups, kin_of, twin_keys, wanted
from turncoat.progress import Progress, silent
from turncoat.report.read import Trial


@dataclass(frozen=True)
class Job:
    """One trial to run or to read. index: its cell's place in the study. config: the cell's, with its threads settled.

    group: name of the trials that its victim is trained together with; empty where it is trained alone. The key depends on it.
    twin, random_twin: keys of the networks that it needs beside its victim; no random twin where the attack has none. base: key
    of the trial that it goes on from; empty where it does not.
    """

    index: int
    cell: Cell
    config: Config
    key: str
    twin: str
    random_twin: str
    base: str
    kind: Kind
    group: str = ""

    @property
    def surrogate(self) -> bool:
        """Whether the attack may train a network before it poisons anything."""
        return self.config.attack is not None and self.config.attack.surrogate

    def lacks(self, store: Store) -> list[Path]:
        """Folders of other networks that are to be made before its own; those that it may share with other jobs."""
        needed = [store.twin_folder(self.twin), *([store.trial_folder(self.base)] if self.base else [])]
        return [folder for folder in needed if not store.has_weights(folder)]

    def find(self, store: Store) -> Trial | None:
        """The finished trial, with the weights that the configuration wants kept."""
        return store.find_trial(self.key, weights=self.config.keep_models != "none")


def prepare(
    cells: Sequence[Cell],
    datasets: Datasets,
    threads: int | None = None,
    progress: Progress = silent,
    together: Choice | None = None,
) -> list[Job]:
    """Jobs of these cells, those that share a data set one after the other, else in their order.

    threads: of trials that do not say; None leaves them to torch. together: whether to group those whose victims can be trained
    together; by default on a GPU. Fits every distinct attack to its data and builds every
    distinct model for it, on one seed each, without training anything. Raises `TurncoatError` with one line a mistake.
    """
    problems: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    jobs: list[Job] = []
    kin: list[str | None] = []
    for index in _by_data(cells):
        cell = cells[index]
        config = cell.config if cell.config.threads else cell.config.model_copy(update={"threads": threads})
        try:
            with cpu_threads(config.threads):
                task = settle(config, datasets, progress)
            for part, trial in ((repr(config.attack), task.check_attack), (task.model_label, task.check_network)):
                if (repr(config.data), part) not in seen:
                    seen.add((repr(config.data), part))
                    trial()
            jobs.append(_job(index, cell, config, task))
            kin.append(kin_of(task) if wanted(task, together) else None)
        except TurncoatError as error:
            problems.setdefault(str(error), f"{cell.label}: {error}")
        progress("checking", len(jobs), len(cells))
    if problems:
        raise TurncoatError("\n".join(problems.values()))
    return _grouped(jobs, kin)


def _grouped(jobs: Sequence[Job], kin: Sequence[str | None]) -> list[Job]:
    """Jobs with the keys that they have in their groups. One that another goes on from stays alone: so it is looked for."""
    bases, keys = {job.base for job in jobs}, [job.key for job in jobs]
    found = groups([None if key in bases else own for key, own in zip(keys, kin, strict=True)], keys)
    joined: dict[str, tuple[Group, str]] = {}
    for group in found:
        twins = twin_keys([jobs[at].twin for at in group.members])
        joined |= {keys[at]: (group, twin) for at, twin in zip(group.members, twins, strict=True)}
    return [_joining(job, *joined[job.key]) if job.key in joined else job for job in jobs]


def _joining(job: Job, group: Group, twin: str) -> Job:
    return replace(job, key=group.key(job.key), twin=twin, group=group.name, kind=replace(job.kind, together=True))


def _job(index: int, cell: Cell, config: Config, task: Task) -> Job:
    labels_alone = config.attack is not None and config.attack.threat_model == "labels"
    before = next((name for name in reversed(AFTERWARDS) if getattr(config, name, None) is not None), None)
    return Job(
        index,
        cell,
        config,
        key=task.key,
        twin=task.twin,
        random_twin=task.random_twin if labels_alone else "",
        base=replace(task, config=task.config.model_copy(update={before: None})).key if before else "",
        kind=kind_of(task),
    )


def _by_data(cells: Sequence[Cell]) -> list[int]:
    first: dict[str, int] = {}
    for index, cell in enumerate(cells):
        first.setdefault(repr(cell.config.data), index)
    return sorted(range(len(cells)), key=lambda index: first[repr(cells[index].config.data)])
