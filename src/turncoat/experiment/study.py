"""`study`: all trials of a grid. What the store has is read, what fails is recorded, the rest goes on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from turncoat.errors import TurncoatError
from turncoat.experiment.drive import Drive
from turncoat.experiment.executors import Executor, InProcess
from turncoat.experiment.executors.base import Outcome
from turncoat.experiment.failures import failure_file, write_failure
from turncoat.experiment.grid import Cell, read_study, read_together
from turncoat.experiment.jobs import Job, prepare
from turncoat.experiment.setting import Datasets
from turncoat.experiment.store import Store
from turncoat.experiment.together import Choice
from turncoat.experiment.trial import TrialResult
from turncoat.experiment.watch import Ending, Tally, Watch
from turncoat.experiment.work import Work, works
from turncoat.report.page import write_report
from turncoat.report.read import Trial


@dataclass(frozen=True)
class Failure:
    """A trial that ended in an error; it is tried again when the study is run again. ``log`` has the whole story."""

    cell: Cell
    error: str
    log: Path


@dataclass(frozen=True)
class StudyResult:
    """Trials in the order of the grid, without those that failed and those not begun after too many had failed."""

    trials: tuple[TrialResult, ...]
    failures: tuple[Failure, ...]
    skipped: tuple[Cell, ...] = field(default=(), kw_only=True)

    @property
    def diverged(self) -> tuple[TrialResult, ...]:
        """Trials whose training left the numbers."""
        return tuple(trial for trial in self.trials if trial.record.status == "diverged")


def study(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    out: str | Path = "runs",
    executor: Executor = InProcess(),  # noqa: B008 - frozen
    together: Choice | None = None,
    max_failures: int | None = None,
    report: bool = True,
    watch: Watch = Watch(),  # noqa: B008 - frozen
) -> StudyResult:
    """Run a study file's trials into the store ``out``; run again, it goes on where it was.

    Every cell is checked, down to whether its attack fits its data, before the first is trained: `TurncoatError` has every
    mistake, one a line. After that a trial that fails or diverges is recorded and does not stop the others; once
    ``max_failures`` have failed no further one begins. executor: where trials run, by default one by one in this process.

    together: whether small victims that differ in poison and seed alone are trained together, and their clean twins, ``auto``
    where it pays or ``never``; by default what the file says, else ``auto`` on a GPU. Such a trial has a key of its own, which
    depends on all that are trained with it; if one of them is missing they are all trained again, and those that are there stay.
    """
    cells, together = read_study(Path(path), overrides), together or read_together(Path(path))
    return run_cells(cells, out=out, executor=executor, together=together, max_failures=max_failures, report=report, watch=watch)


def run_cells(
    cells: Sequence[Cell],
    *,
    out: str | Path = "runs",
    executor: Executor = InProcess(),  # noqa: B008 - frozen
    together: Choice | None = None,
    max_failures: int | None = None,
    report: bool = True,
    watch: Watch = Watch(),  # noqa: B008 - frozen
) -> StudyResult:
    """`study` of these cells."""
    if max_failures is not None and max_failures < 1:
        raise TurncoatError(f"max-failures: expected at least 1, got {max_failures}")
    store = Store(Path(out))
    jobs = prepare(cells, Datasets(), executor.threads, watch.check.progress, together)
    result = _Study(store, watch, len(jobs)).run(jobs, executor, max_failures)
    if report and result.trials:
        write_report(store.root)
    return result


@dataclass
class _Study:
    """What has come of a study so far, by the cells' places."""

    store: Store
    watch: Watch
    total: int
    trials: dict[int, TrialResult] = field(default_factory=dict[int, TrialResult])
    failures: dict[int, Failure] = field(default_factory=dict[int, Failure])
    tally: Tally = field(init=False)

    def __post_init__(self) -> None:
        self.tally = Tally(self.total)

    def run(self, jobs: Sequence[Job], executor: Executor, max_failures: int | None) -> StudyResult:
        missing = {job.index for job in jobs if not self._read(job)}
        left = [work for work in works(jobs, executor.threads) if any(job.index in missing for job in work.jobs)]
        if left:
            with executor.open(self.store, len(left)) as crew:
                left = self._drive(Drive(left, self.store, crew), max_failures)
        trials = tuple(self.trials[index] for index in sorted(self.trials))
        failures = tuple(self.failures[index] for index in sorted(self.failures))
        skipped = tuple(job.cell for work in left for job in work.jobs if job.index not in self.trials)
        return StudyResult(trials, failures, skipped=skipped)

    def _drive(self, drive: Drive, max_failures: int | None) -> list[Work]:
        """All work through the crew; what was not begun, where too many failed."""
        while drive.running or (drive.waiting and not self._enough(max_failures)):
            while drive.crew.free and not self._enough(max_failures) and (work := drive.next()) is not None:
                first = next(job for job in work.jobs if job.index not in self.trials)
                drive.start(work, self.watch.begin(first.cell, self.tally))
            for job, outcome in drive.wait():
                if job.index not in self.trials:
                    self._end(job, outcome)
        return list(drive.waiting.values())

    def _enough(self, max_failures: int | None) -> bool:
        return max_failures is not None and len(self.failures) >= max_failures

    def _read(self, job: Job) -> bool:
        found = self._find(job)
        if found is not None:
            self._keep(job, found, cached=True)
        return found is not None

    def _find(self, job: Job) -> Trial | None:
        with suppress(TurncoatError):  # a broken record: the job fails with what is wrong with it
            return job.find(self.store)
        return None

    def _end(self, job: Job, outcome: Outcome) -> None:
        # a worker may die after one of a group is written
        found = self._find(job) if outcome.error else self.store.find_trial(outcome.key)
        if found is not None:
            self._keep(job, found, outcome.cached)
            return
        error = outcome.error or f"{self.store.trial_folder(outcome.key)} is not there; expected a store that all machines share"
        log = failure_file(self.store.root, job.cell.config)
        write_failure(log, job.cell.label, job.cell.config, error, outcome.traceback)
        self.failures[job.index] = Failure(job.cell, error, log)
        self._tell(job, "failed", error)

    def _keep(self, job: Job, found: Trial, cached: bool) -> None:
        self.trials[job.index] = TrialResult(found.folder, found.record, cached)
        failure_file(self.store.root, job.cell.config).unlink(missing_ok=True)
        diverged = found.record.status == "diverged"
        self._tell(job, "read" if cached else "diverged" if diverged else "done", found.record.error or "")

    def _tell(self, job: Job, ending: Ending, error: str) -> None:
        self.tally = self.tally.plus(ending)
        self.watch.end(job.cell, ending, error, self.tally)
