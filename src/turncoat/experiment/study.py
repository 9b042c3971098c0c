"""`study`: all trials of a grid, one after the other in this process; what the store has is read, what fails is recorded."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from turncoat.errors import TurncoatError
from turncoat.experiment.grid import Cell, read_study
from turncoat.experiment.listener import Listener
from turncoat.experiment.record import to_json
from turncoat.experiment.setting import Datasets, cpu_threads, settle
from turncoat.experiment.store import Store
from turncoat.experiment.trial import TrialResult, run_trial
from turncoat.progress import Progress, silent
from turncoat.report import write_report


@dataclass(frozen=True)
class Failure:
    """A trial that ended in an error; it is tried again when the study is run again. ``log`` has the whole story."""

    cell: Cell
    error: str
    log: Path


@dataclass(frozen=True)
class StudyResult:
    """Trials in the order of the grid, without those that failed."""

    trials: tuple[TrialResult, ...]
    failures: tuple[Failure, ...]

    @property
    def diverged(self) -> tuple[TrialResult, ...]:
        """Trials whose training left the numbers."""
        return tuple(trial for trial in self.trials if trial.record.status == "diverged")


@dataclass(frozen=True)
class Plan:
    """What a study would do: ``finished[i]`` tells whether cell i is in the store; ``twins`` clean twins are to be trained."""

    cells: tuple[Cell, ...]
    finished: tuple[bool, ...]
    twins: int


Announce = Callable[[int, int, Cell], None]
"""Called as ``announce(done, total, next_cell)`` before each trial."""


def study(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: str | Path = "runs",
    report: bool = True,
    listener: Listener | None = None,
    announce: Announce | None = None,
) -> StudyResult:
    """Run a study file's trials into the store ``out``; run again, it goes on where it was.

    Every cell is checked, down to whether its attack fits its data, before the first is trained: `TurncoatError` has every
    mistake, one a line. After that a trial that fails or diverges is recorded and does not stop the others.
    """
    return run_cells(read_study(Path(path), overrides), out=out, report=report, listener=listener, announce=announce)


def run_cells(
    cells: Sequence[Cell],
    *,
    out: str | Path = "runs",
    report: bool = True,
    listener: Listener | None = None,
    announce: Announce | None = None,
) -> StudyResult:
    """`study` of these cells."""
    store, datasets = Store(Path(out)), Datasets()
    check(cells, datasets, listener.progress if listener else silent)
    result = _run_all(cells, store, datasets, listener, announce)
    if report and result.trials:
        write_report(store.root)
    return result


def plan(path: str | Path, overrides: Sequence[str] = (), *, out: str | Path = "runs") -> Plan:
    """Check a study as `study` does, and tell what is left to do; nothing is trained or written."""
    store, datasets = Store(Path(out)), Datasets()
    cells = read_study(Path(path), overrides)
    check(cells, datasets)
    finished: dict[int, bool] = {}
    twins: set[str] = set()
    for index in _by_data(cells):
        config = cells[index].config
        with cpu_threads(config.threads):
            task = settle(config, datasets)
        finished[index] = store.find_trial(task.key, weights=config.keep_models != "none") is not None
        if not finished[index] and store.find_twin(task.twin) is None:
            twins.add(task.twin)
    return Plan(tuple(cells), tuple(finished[index] for index in range(len(cells))), len(twins))


def check(cells: Sequence[Cell], datasets: Datasets, progress: Progress = silent) -> None:
    """Fit every distinct attack to its data and build every distinct model for it, on one seed each.

    Raises `TurncoatError` with one line a mistake.
    """
    problems: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for index in _by_data(cells):
        cell = cells[index]
        config = cell.config
        try:
            task = settle(config, datasets, progress)
            for part, trial in ((repr(config.attack), task.check_attack), (task.model_label, task.check_network)):
                if (repr(config.data), part) not in seen:
                    seen.add((repr(config.data), part))
                    trial()
        except TurncoatError as error:
            problems.setdefault(str(error), f"{cell.label}: {error}")
    if problems:
        raise TurncoatError("\n".join(problems.values()))


def _run_all(
    cells: Sequence[Cell], store: Store, datasets: Datasets, listener: Listener | None, announce: Announce | None
) -> StudyResult:
    trials: dict[int, TrialResult] = {}
    failures: dict[int, Failure] = {}
    for done, index in enumerate(_by_data(cells)):
        cell = cells[index]
        if announce is not None:
            announce(done, len(cells), cell)
        log = _log(store, cell)
        try:
            trials[index] = run_trial(cell.config, store, listener, datasets)
        except Exception as error:  # noqa: BLE001 - one trial's failure, whatever it is, must not cost the others
            failures[index] = Failure(cell, f"{type(error).__name__}: {error}", log)
            _write_log(failures[index])
        else:
            log.unlink(missing_ok=True)
    in_order = sorted(trials), sorted(failures)
    return StudyResult(tuple(trials[index] for index in in_order[0]), tuple(failures[index] for index in in_order[1]))


def _by_data(cells: Sequence[Cell]) -> list[int]:
    """Cells that share a data set one after the other, else in their order, so that each is loaded once."""
    first: dict[str, int] = {}
    for index, cell in enumerate(cells):
        first.setdefault(repr(cell.config.data), index)
    return sorted(range(len(cells)), key=lambda index: first[repr(cells[index].config.data)])


def _log(store: Store, cell: Cell) -> Path:
    name = hashlib.sha256(cell.config.model_dump_json().encode()).hexdigest()[:20]
    return store.root / "failures" / f"{name}.json"


def _write_log(failure: Failure) -> None:
    document = {
        "error": failure.error,
        "trial": failure.cell.label,
        "config": failure.cell.config.model_dump(mode="json"),
        "traceback": traceback.format_exc(),
    }
    failure.log.parent.mkdir(parents=True, exist_ok=True)
    partial = failure.log.with_suffix(".partial")
    partial.write_text(to_json(document), encoding="utf-8")
    partial.replace(failure.log)
