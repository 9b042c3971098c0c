"""Cells out of the index: what the report's tables are made of, without reading a trial's file again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, cast

from duckdb import DuckDBPyConnection
from pydantic import JsonValue

from turncoat.experiment.conditions import walk
from turncoat.experiment.table import keep
from turncoat.report.cells import Cell, group
from turncoat.report.fields import unchecked
from turncoat.report.read import Trial
from turncoat.report.record import AttackRecord, DataRecord, RowRecord, TrialRecord

_KINDS = """
SELECT folder, key, status, seed, created, task, data, fingerprint, model, attack, goal, environment::VARCHAR,
       json_merge_patch(config, '{"seed": null, "keep_models": null}')::VARCHAR
FROM trials SEMI JOIN kept USING (folder)
"""

_FIGURES = """
SELECT folder, r.stage, r.method, r.metric, r."group", r."value", r.low, r.high, r.n, NULL
FROM (SELECT folder, unnest("rows") AS r FROM trials SEMI JOIN kept USING (folder) WHERE status = 'done')
WHERE
"""


_FIELDS = ("stage", "method", "metric", "group", "value", "low", "high", "n", "seconds")


@dataclass(frozen=True)
class Selection:
    """Cells with some of their figures. Their settings are those in which they differ, of configuration and environment."""

    cells: list[Cell]
    kinds: Mapping[Path, TrialRecord]
    """By trial folder: what its configuration is, with all settings and no figures."""

    def value(self, cell: Cell, name: str) -> JsonValue:
        """A column of the trial or a dotted path of its configuration."""
        record = self.kinds[cell.first.folder]
        columns: dict[str, JsonValue] = {
            "data": record.data.name,
            "model": record.model,
            "attack": record.attack.name,
            "goal": record.attack.goal or None,
        }
        return columns[name] if name in columns else walk(record.config, "attack.rate" if name == "rate" else name)


class _Own(NamedTuple):
    """What is a trial's own, and not its configuration's."""

    key: str
    status: Literal["done", "diverged"]
    seed: int
    created: str


def select(connection: DuckDBPyConnection, folders: set[str], condition: str, bound: Mapping[str, object]) -> Selection:
    """The cells of these trials, with the rows ``r`` that meet the condition."""
    keep(connection, folders)
    kinds: dict[tuple[str, ...], TrialRecord] = {}
    of_trial: dict[str, tuple[TrialRecord, _Own]] = {}
    for folder, key, status, seed, created, *kind in connection.execute(_KINDS).fetchall():
        record = kinds.get(tuple(kind)) or kinds.setdefault(tuple(kind), _kind(*kind))
        of_trial[folder] = record, _Own(key, status, seed, created)
    settings = _telling(kinds.values())
    names = {kind: json.dumps(telling, sort_keys=True) for kind, telling in settings.items()}
    figures = _figures(connection, condition, bound)
    trials: list[Trial] = []
    kind_of: dict[Path, TrialRecord] = {}
    for folder, (record, own) in sorted(of_trial.items()):
        path = Path(folder)
        kind_of[path] = record
        trials.append(Trial(path, _trial(record, settings[id(record)], own, figures.get(folder, []))))
    return Selection(group(trials, lambda trial: names[id(kind_of[trial.folder])]), kind_of)


def _kind(  # noqa: PLR0917 - the columns of a query
    task: str, data: str, fingerprint: str, model: str, attack: str, goal: str | None, environment: str, config: str
) -> TrialRecord:
    return TrialRecord.model_construct(
        task=cast(Literal["classification", "one-shot", "multi-label"], task),
        data=DataRecord.model_construct(name=data, fingerprint=fingerprint),
        model=model,
        attack=AttackRecord.model_construct(name=attack, goal=goal or ""),
        environment=json.loads(environment),
        config=json.loads(config),
    )


def _telling(kinds: Iterable[TrialRecord]) -> dict[int, dict[str, JsonValue]]:
    """The settings of each kind in which any two differ; what is not set is as what is none."""
    flat = {id(kind): Cell((Trial(Path(), kind),), (), 0).settings for kind in kinds}
    seen: dict[str, list[str]] = {}
    for settings in flat.values():
        for key, value in settings.items():
            if value is not None:
                seen.setdefault(key, []).append(repr(value))
    telling = [key for key, found in seen.items() if len(found) < len(flat) or len(set(found)) > 1]
    return {kind: {key: settings[key] for key in telling if settings.get(key) is not None} for kind, settings in flat.items()}


def _figures(connection: DuckDBPyConnection, condition: str, bound: Mapping[str, object]) -> dict[str, list[RowRecord]]:
    found: dict[str, list[RowRecord]] = {}
    for folder, *row in connection.execute(_FIGURES + condition, bound).fetchall():
        found.setdefault(folder, []).append(unchecked(RowRecord, dict(zip(_FIELDS, row, strict=True))))
    return found


def _trial(kind: TrialRecord, settings: dict[str, JsonValue], own: _Own, rows: list[RowRecord]) -> TrialRecord:
    config = {**settings, "seed": own.seed}
    told = {"key": own.key, "status": own.status, "created": own.created}
    return unchecked(TrialRecord, {**vars(kind), **told, "config": config, "environment": {}, "rows": rows})
