"""Cells: the trials of one configuration, which differ in the seed alone; and what tells the cells of a study apart."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import JsonValue

from turncoat.report.fields import showable
from turncoat.report.numbers import REGULARISERS
from turncoat.report.parts import ALONE, CLEAN_TWIN, RANDOM_TWIN, VICTIM, Network
from turncoat.report.read import Trial
from turncoat.report.record import RowRecord
from turncoat.report.summary import Estimate, Measured, estimate, paired_difference, share

RATE = "attack.rate"
_NOT_THE_EXPERIMENT = frozenset({"seed", "keep_models"})
_ORDER = (
    *("data.name", "task", "data.", "model.", "network", "head"),
    *("attack.name", RATE, "attack.goal.", "attack.", REGULARISERS, "train."),
    *("retrain.layers", "retrain.share", "retrain.lr", "retrain.epochs", "retrain"),
)
_EPOCH = re.compile(r"epoch (\d{1,6})")
"""The group of a figure after so many epochs of clean retraining."""


@dataclass(frozen=True)
class Cell:
    """All trials of one configuration: ``done`` by seed, ``diverged`` by seed."""

    done: tuple[Trial, ...]
    diverged: tuple[Trial, ...]
    superseded: int
    """Older trials of the same configuration and seed, which are left out: a seed counts once."""

    @property
    def first(self) -> Trial:
        return (self.done or self.diverged)[0]

    @property
    def is_one_shot(self) -> bool:
        return self.first.record.task == "one-shot"

    @property
    def is_multi_label(self) -> bool:
        return self.first.record.task == "multi-label"

    @property
    def is_clean(self) -> bool:
        """Whether nothing was attacked."""
        return self.first.record.attack.name == "none"

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """The networks that its figures are of, the victim first."""
        if self.is_clean:
            return (ALONE,)
        random = any(trial.record.random_twin for trial in (*self.done, *self.diverged))
        return (VICTIM, CLEAN_TWIN, RANDOM_TWIN) if random else (VICTIM, CLEAN_TWIN)

    @cached_property
    def settings(self) -> dict[str, JsonValue]:
        """The configuration and the environment, flat, by dotted path; without the seed."""
        record = self.first.record
        parts: dict[str, JsonValue] = {key: value for key, value in record.config.items() if key not in _NOT_THE_EXPERIMENT}
        parts["task"] = record.task
        parts["data.fingerprint"] = record.data.fingerprint[:12]
        parts["environment"] = dict(record.environment)
        return dict(_flatten(parts))

    @cached_property
    def _rows(self) -> dict[tuple[str, str, str, str], dict[int, RowRecord]]:
        found: dict[tuple[str, str, str, str], dict[int, RowRecord]] = {}
        for trial in self.done:
            for row in trial.record.rows:
                found.setdefault((row.stage, row.method, row.metric, row.group), {})[trial.record.seed] = row
        return found

    def by_seed(self, method: str, metric: str, group: str = "", stage: str = "evaluate") -> dict[int, Measured]:
        """A figure of each seed that has it."""
        rows = self._rows.get((stage, method, metric, group), {})
        return {seed: _measured(row) for seed, row in rows.items()}

    def share(self, method: str, metric: str, group: str = "") -> Estimate | None:
        """A proportion over all seeds, with its interval."""
        return share(list(self.by_seed(method, metric, group).values()))

    def groups(self, method: str, metric: str) -> list[str]:
        """Groups that a figure was measured on, in the order of the rows."""
        return [group for stage, *of_row, group in self._rows if (stage, *of_row) == ("evaluate", method, metric)]

    def methods(self, stage: str) -> list[str]:
        """What a stage has rows of, in their order."""
        return list(dict.fromkeys(method for of, method, *_ in self._rows if of == stage))

    def seconds_in(self, stage: str, method: str, group: str) -> Estimate | None:
        """Seconds that the rows of one group tell, which are those of one piece of work."""
        found: dict[int, float] = {}
        for (*place, _, of), rows in self._rows.items():
            if (*place, of) == (stage, method, group):
                for seed, row in rows.items():
                    found[seed] = max(found.get(seed, 0.0), row.seconds or 0.0)
        return estimate([Measured(seconds) for seconds in found.values()])

    @cached_property
    def epochs(self) -> list[int]:
        """Of clean retraining, rising: those after which anything was measured."""
        told = {group for stage, _, _, group in self._rows if stage == "retrain"}
        return sorted({int(found[1]) for found in map(_EPOCH.fullmatch, told) if found is not None})

    def after(self, epoch: int, method: str, metric: str) -> Estimate | None:
        """A proportion after so many epochs of clean retraining."""
        return share(list(self.by_seed(method, metric, f"epoch {epoch}", "retrain").values()))

    def difference(self, metric: str, group: str = "") -> Estimate | None:
        """Victim minus twin, paired by seed."""
        return paired_difference(self.by_seed("victim", metric, group), self.by_seed("clean-twin", metric, group))

    def amount(self, stage: str, method: str, metric: str) -> Estimate | None:
        """A figure that is no proportion, over all seeds."""
        return estimate(list(self.by_seed(method, metric, "", stage).values()))

    def seconds(self, stage: str, method: str, of: str | None = None) -> Estimate | None:
        """Seconds of one stage. Rows of one pass carry the same seconds: clean accuracy is a pass, all of the attack another.

        of: the one metric whose rows count, where only these are meant.
        """
        passes: dict[int, dict[bool, float]] = {}
        for (row_stage, row_method, metric, _), rows in self._rows.items():
            if (row_stage, row_method) == (stage, method) and of in (None, metric):
                for seed, row in rows.items():
                    if row.seconds is not None:
                        of_seed = passes.setdefault(seed, {})
                        of_seed[metric == "ca"] = max(of_seed.get(metric == "ca", 0.0), row.seconds)
        return estimate([Measured(sum(of_seed.values())) for of_seed in passes.values()])


def _measured(row: RowRecord) -> Measured:
    def number(value: float | None) -> float | None:
        return None if value is None or math.isnan(value) else value

    return Measured(math.nan if row.value is None else row.value, number(row.low), number(row.high), row.n)


def _flatten(settings: Mapping[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{showable(key)}.")
        else:
            yield prefix + showable(key), value


def configuration(trial: Trial) -> str:
    """Equal for trials of one configuration."""
    return json.dumps(Cell((trial,), (), 0).settings, sort_keys=True)


def group(trials: Sequence[Trial], alike: Callable[[Trial], str] = configuration) -> list[Cell]:
    """Trials by configuration, in a steady order: that of their settings. alike: `configuration`, where it is known already."""
    together: dict[str, dict[int, list[Trial]]] = {}
    for trial in trials:
        seeds = together.setdefault(alike(trial), {})
        seeds.setdefault(trial.record.seed, []).append(trial)
    cells: list[Cell] = []
    for seeds in together.values():
        newest = [max(seeds[seed], key=lambda trial: (trial.record.created, trial.record.key)) for seed in sorted(seeds)]
        done = tuple(trial for trial in newest if trial.record.status == "done")
        diverged = tuple(trial for trial in newest if trial.record.status == "diverged")
        cells.append(Cell(done, diverged, sum(len(same) - 1 for same in seeds.values())))
    order = sorted({key for cell in cells for key in cell.settings}, key=_priority)
    return sorted(cells, key=lambda cell: [_sortable(cell.settings.get(key)) for key in order])


def start(cell: Cell) -> str:
    """What its retraining or its defences began from: the same for cells that differ in that alone."""
    return json.dumps({key: value for key, value in cell.settings.items() if not _afterwards(key)}, sort_keys=True)


def _afterwards(key: str) -> bool:
    return key.partition(".")[0] in ("retrain", "defences")


def _went_on(cell: Cell) -> bool:
    return bool(cell.epochs or cell.methods("detect") or cell.methods("repair"))


def starts(cells: Sequence[Cell]) -> list[Cell]:
    """A cell each start: of those that differ in the retraining alone, whose first figures are the same, that with most seeds."""
    found: dict[str, Cell] = {}
    for cell in cells:
        known = found.setdefault(start(cell), cell)
        if len(cell.done) > len(known.done):
            found[start(cell)] = cell
    return [cell for cell in cells if found[start(cell)] is cell]


def without_starts(cells: Sequence[Cell]) -> list[Cell]:
    """The cells, without those that another one goes on from, seed for seed: it has their figures too."""
    held = {(start(cell), _seeds(cell)) for cell in cells if _went_on(cell)}
    return [cell for cell in cells if _went_on(cell) or (start(cell), _seeds(cell)) not in held]


def _seeds(cell: Cell) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(trial.record.seed for trial in trials) for trials in (cell.done, cell.diverged))


def differences(cells: Sequence[Cell]) -> list[str]:
    """The fewest settings that tell all cells apart, the telling ones first.

    A setting that follows from those before it (a learning rate that came with the model) is left out.
    """
    chosen: list[str] = []
    for key in sorted({key for cell in cells for key in cell.settings}, key=_priority):
        if not follows(cells, chosen, key):
            chosen.append(key)
    return chosen


def telling_keys(cells: Sequence[Cell]) -> list[str]:
    """`differences` of the cells, the rate among them wherever it varies."""
    keys = differences(cells)
    if RATE not in keys and varies(cells, lambda cell: cell.settings.get(RATE)):
        keys.append(RATE)
    return keys


def varies(cells: Sequence[Cell], value: Callable[[Cell], JsonValue]) -> bool:
    """Whether the cells differ in it."""
    return len({json.dumps(value(cell), sort_keys=True) for cell in cells}) > 1


def identity(cell: Cell, keys: Sequence[str]) -> str:
    """Its values of these settings; equal where they are."""
    return json.dumps([cell.settings.get(key) for key in keys], sort_keys=True)


def _parts(cells: Sequence[Cell], keys: Sequence[str]) -> int:
    return len({identity(cell, keys) for cell in cells})


def follows(cells: Sequence[Cell], keys: Sequence[str], key: str) -> bool:
    """Whether one knows a cell's value of ``key`` from those of ``keys``."""
    return _parts(cells, [*keys, key]) == _parts(cells, keys)


def _priority(key: str) -> tuple[int, bool, str]:
    """Names of components first, then what is set of them."""
    rank = next((rank for rank, begin in enumerate(_ORDER) if key.startswith(begin)), len(_ORDER))
    return rank, not key.endswith(".name"), key


def _sortable(value: JsonValue) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return 0, float(value), ""
    return (1, 0.0, "") if value is None else (2, 0.0, value if isinstance(value, str) else json.dumps(value, sort_keys=True))
