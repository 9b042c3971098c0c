"""`run`: a configuration on one or several seeds, and the report over the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from turncoat.errors import TurncoatError
from turncoat.experiment.config import AnyConfig, Config, lay_over, parse_config, read_config
from turncoat.experiment.listener import Listener
from turncoat.experiment.setting import Datasets
from turncoat.experiment.store import Store
from turncoat.experiment.trial import TrialResult, run_trial
from turncoat.overrides import parse_overrides
from turncoat.report.page import write_report


def run(
    config: Config | Mapping[str, object] | str | Path,
    overrides: Sequence[str] = (),
    *,
    out: str | Path = "runs",
    seeds: int = 1,
    model_factory: str | None = None,
    report: bool = True,
    listener: Listener | None = None,
) -> list[TrialResult]:
    """Run a trial on ``seeds`` seeds, counted from the configuration's; what the store ``out`` has is read.

    config: a value, a mapping, or the path of a YAML file. overrides: ``["attack.rate=0.05", ...]``, for the latter two.
    model_factory: ``package.module:function`` to import as the victim's architecture. report: write ``out/report.html``.
    Raises `TurncoatError` with every mistake in the configuration, one a line.
    """
    if seeds < 1:
        raise TurncoatError(f"seeds: expected at least 1, got {seeds}")
    first = _read(config, overrides, model_factory)
    store, datasets = Store(Path(out)), Datasets()
    configs = [first.model_copy(update={"seed": first.seed + index}) for index in range(seeds)]
    trials = [run_trial(each, store, listener, datasets) for each in configs]
    if report:
        write_report(store.root)
    return trials


def _read(config: Config | Mapping[str, object] | str | Path, overrides: Sequence[str], model_factory: str | None) -> Config:
    if isinstance(config, AnyConfig):
        if overrides or model_factory:
            raise TurncoatError("overrides: a configuration is taken as it is; use model_copy, or give a mapping or a file")
        return config
    if isinstance(config, str | Path):
        return read_config(Path(config), overrides, model_factory)
    given = lay_over(config, parse_overrides(overrides))
    if model_factory is not None:
        given["model"] = {"name": "factory", "factory": model_factory}
    return parse_config(given, allow_factory=model_factory is not None)
