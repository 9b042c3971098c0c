"""`reproduce`: run a reproduction's trials, judge its claims, write both down."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from turncoat.component import lookup
from turncoat.errors import TurncoatError, shown
from turncoat.experiment.executors import Executor, InProcess
from turncoat.experiment.grid import Cell
from turncoat.experiment.record import to_json
from turncoat.experiment.study import StudyResult, run_cells
from turncoat.experiment.together import Choice
from turncoat.experiment.watch import Watch
from turncoat.report.claims import FOLDER
from turncoat.report.page import write_report
from turncoat.reproductions.base import Experiment, Reproduction
from turncoat.reproductions.claims import Claim
from turncoat.reproductions.comparison import Comparison
from turncoat.reproductions.shorten import shortened


@dataclass(frozen=True)
class Judged:
    """An experiment and what came of it. told: what was done otherwise than the experiment says."""

    experiment: Experiment
    claims: tuple[Claim, ...]
    comparisons: tuple[Comparison, ...]
    told: tuple[str, ...]


@dataclass(frozen=True)
class Reproduced(StudyResult):
    """The trials, those that failed, and what was judged on those that are there, an entry an experiment."""

    judged: tuple[Judged, ...]

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Those of all experiments."""
        return tuple(claim for one in self.judged for claim in one.claims)


def reproduce(
    name: str,
    *,
    fast: bool = False,
    data: str | Path | None = None,
    seeds: int | None = None,
    epochs: float | None = None,
    out: str | Path = "runs/reproduce",
    report: bool = True,
    executor: Executor = InProcess(),  # noqa: B008 - frozen
    together: Choice | None = None,
    watch: Watch = Watch(),  # noqa: B008 - frozen
) -> Reproduced:
    """Run the reproduction ``name`` into the store ``out``, what it has is read, and judge its claims.

    fast: a small stand-in without data. data: a local copy of the data set. seeds: so many instead of those that the claims
    need. epochs: the most of any training, a shortened schedule, and told. together: as for `study`. Claims go to
    ``out/claims/``, a file an experiment, and, with ``report``, onto the page. Raises `TurncoatError` for a name or settings
    that cannot be.
    """
    store = Path(out)
    planned = _plan(name, fast, data, seeds, epochs)
    every = [cell for _, cells, _ in planned for cell in cells]
    result = run_cells(every, out=store, executor=executor, together=together, report=False, watch=watch)
    judged = tuple(_judge(one, part, told) for (one, _, told), part in zip(planned, _parts(planned, result), strict=True))
    for one, part in zip(judged, _parts(planned, result), strict=True):
        write_claims(store, one, part)
    if report and result.trials:
        write_report(store)
    return Reproduced(result.trials, result.failures, judged)


def cells(
    name: str, *, fast: bool = False, data: str | Path | None = None, seeds: int | None = None, epochs: float | None = None
) -> list[Cell]:
    """The trials that `reproduce` would run. Raises `TurncoatError` for a name or settings that cannot be."""
    return [cell for _, part, _ in _plan(name, fast, data, seeds, epochs) for cell in part]


_Planned = tuple[Experiment, list[Cell], list[str]]


def _plan(name: str, fast: bool, data: str | Path | None, seeds: int | None, epochs: float | None) -> list[_Planned]:
    chosen = _choose(name, fast, data, seeds)
    if epochs is not None and not 0 < epochs < math.inf:
        raise TurncoatError(f"reproduce: epochs: expected a number over 0, got {epochs:g}")
    return [(one, *shortened(one.cells(), epochs)) for one in chosen.experiments()]


def _parts(planned: Sequence[_Planned], result: StudyResult) -> Iterator[StudyResult]:
    """What came of each experiment: the trials stand in the order of all cells, without those that failed."""
    trials = iter(result.trials)
    for _, cells, _ in planned:
        failures = tuple(failure for failure in result.failures if any(failure.cell is cell for cell in cells))
        yield StudyResult(tuple(islice(trials, len(cells) - len(failures))), failures)


def _judge(of: Experiment, result: StudyResult, told: Sequence[str]) -> Judged:
    judged = (_with_losses(claim, result) for claim in of.judge(result.trials))
    claims = tuple(replace(claim, note="; ".join(filter(None, (*told, claim.note)))) for claim in judged)
    return Judged(of, claims, tuple(of.comparisons(result.trials)), tuple(told))


def write_claims(store: Path, judged: Judged, result: StudyResult) -> Path:
    """Write ``store/claims/NAME.json``, whole or not at all, and return its path."""
    of = judged.experiment
    document = {
        "schema": 1,
        "name": of.name,
        "summary": of.summary(),
        "fast": of.fast,
        "told": judged.told,
        "trials": [trial.record.key for trial in result.trials],
        "claims": [asdict(claim) for claim in judged.claims],
        "source": of.source,
        "comparisons": [asdict(line) for line in judged.comparisons],
    }
    path = store / FOLDER / f"{of.name}.json"
    partial = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(to_json(document), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise TurncoatError(f"{path}: cannot be written: {error.strerror or error}; choose another --out") from None
    finally:
        partial.unlink(missing_ok=True)
    return path


def _choose(name: str, fast: bool, data: str | Path | None, seeds: int | None) -> Reproduction:
    settings = {"fast": fast, "data": None if data is None else Path(data), "seeds": seeds}
    try:
        return lookup(Reproduction, name).model_validate(settings)
    except PydanticCustomError as error:
        raise TurncoatError(f"reproduce: {shown(error.message())}") from None
    except ValidationError as error:
        mistakes = (
            f"reproduce: {''.join(f'{part}: ' for part in found['loc'])}{found['msg'].removeprefix('Value error, ')}"
            for found in error.errors(include_url=False)
        )
        raise TurncoatError("\n".join(shown(mistake) for mistake in mistakes)) from None


def _with_losses(claim: Claim, result: StudyResult) -> Claim:
    """Trials that are missing may have been the bad ones: each claim says so."""
    lost, total = len(result.failures) + len(result.diverged), len(result.failures) + len(result.trials)
    if not lost:
        return claim
    return replace(
        claim, note="; ".join(filter(None, (f"{lost} of {total} trials failed or diverged and are left out", claim.note)))
    )
