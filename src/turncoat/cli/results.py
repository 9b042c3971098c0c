"""``turncoat results DIR``."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from turncoat.errors import TurncoatError, shown

_FAILURES = 10
"""So many failed trials are told one by one."""


def results(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A store (what --out named).")],
    *,
    metric: Annotated[str | None, typer.Option("--metric", help="Only this metric, e.g. asr.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="NAME=VALUE", help="Only these: attack=badnets, 'rate>=0.01', 'train.preset!=full'."),
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Only rows of poison, train, evaluate, retrain, detect or repair.")
    ] = None,
    method: Annotated[str | None, typer.Option("--method", help="Only rows of victim, clean-twin or another.")] = None,
    group: Annotated[
        str | None, typer.Option("--group", help='Only rows of a class, "epoch 3", a defended network, or "" (overall).')
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B", help="Settings as more columns: train.lr,attack.patch.size.")
    ] = None,
    pivot: Annotated[
        str | None, typer.Option("--pivot", metavar="A,B", help="Means over seeds by these columns or settings; B on top.")
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option("--minus", metavar="twin|NAME=VALUE", help="With --pivot: less the twin or a baseline, paired by seed."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the table as .parquet, .csv, .json or .tex.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole long table, or the pivot, as a JSON array.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="The whole long table, or the pivot, as CSV.")] = False,
) -> None:
    """The figures of all trials: a line a configuration, a pivot, or with --out, --json or --csv a row a figure.

    NAME is a column (key, status, data, model, attack, rate, goal, seed, stage, method, metric, group, ...) or a setting's
    dotted path; = != < <= > >= compare. Failed trials are counted and not among the figures.
    """
    forms = [name for name, given in (("--json", as_json), ("--csv", as_csv), ("--out", out is not None)) if given]
    if len(forms) > 1:
        raise TurncoatError(f"results: expected --json, --csv or --out, got {' and '.join(forms)}")
    if minus and pivot is None:
        raise TurncoatError("--minus: expected --pivot beside it")
    if columns and (pivot is not None or not forms):
        raise TurncoatError("--columns: expected --csv, --json or --out beside it, and no --pivot; a pivot names its settings")
    rows = {"stage": stage, "method": method, "group": group}
    conditions = [*(where or ()), *(f'{name}="{text}"' for name, text in rows.items() if text is not None)]
    if out is not None:
        from turncoat.experiment.output import check_suffix

        check_suffix(out)
    with _uncollected():
        if pivot is not None:
            names = [name.strip() for name in pivot.split(",")]
            suffix = ".json" if as_json else ".csv" if as_csv else ""
            _pivot(directory, names, metric or "asr", conditions, minus or [], out=out, suffix=suffix)
        elif forms:
            named = [name.strip() for name in columns.split(",")] if columns else []
            _long(directory, metric, conditions, named, out=out, suffix=".json" if as_json else ".csv")
        else:
            from turncoat.cli.console import make_console
            from turncoat.cli.tables import print_results

            print_results(directory, metric, make_console(), conditions)
    if not (as_json or as_csv):
        _tell_failures(directory)


@contextmanager
def _uncollected() -> Generator[None]:
    """Without looks for cycles, which hold up the reading of 10,000 trials by a fifth and find nothing."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _long(directory: Path, metric: str | None, where: list[str], columns: list[str], *, out: Path | None, suffix: str) -> None:
    from turncoat.experiment.conditions import read_condition
    from turncoat.experiment.index import indexed
    from turncoat.experiment.output import write_table
    from turncoat.experiment.table import long_table

    conditions = [read_condition(one) for one in where]
    with indexed(directory) as connection, tempfile.TemporaryDirectory(prefix="turncoat-") as scratch:
        long_table(connection, conditions, columns, metric)
        path = out or Path(scratch) / f"table{suffix}"
        write_table(connection, "long", path)
        _told(path, out)


def _pivot(
    directory: Path, names: list[str], metric: str, where: list[str], minus: list[str], *, out: Path | None, suffix: str
) -> None:
    import duckdb

    from turncoat.cli.console import make_console
    from turncoat.cli.tables import print_crossed
    from turncoat.experiment.crossed import cross
    from turncoat.experiment.output import put_figures, write_table
    from turncoat.experiment.pivot import pivot

    found = pivot(directory, names, metric, where, minus)
    if out is None and not suffix:
        print_crossed(cross(found), make_console())
        return
    with duckdb.connect() as connection, tempfile.TemporaryDirectory(prefix="turncoat-") as scratch:
        path = out or Path(scratch) / f"table{suffix}"
        write_table(connection, put_figures(connection, found), path, cross(found))
        _told(path, out)
    for note in found.notes:
        typer.echo(f"turncoat: {note}", err=True)


def _told(path: Path, out: Path | None) -> None:
    """What was written: its path, or the table itself."""
    if out is not None:
        typer.echo(f"table   {out}")
        return
    with path.open(encoding="utf-8", newline="") as file:
        while text := file.read(1 << 20):
            typer.echo(text, nl=False)


def _tell_failures(directory: Path) -> None:
    from turncoat.experiment.failures import read_failures

    failures = read_failures(directory)
    if failures:
        typer.echo(f"{len(failures)} {'trial' if len(failures) == 1 else 'trials'} failed: {directory / 'failures'}")
    for failure in failures[:_FAILURES]:
        typer.echo(f"  {shown(failure.trial)}: {shown(failure.error)}")
    if len(failures) > _FAILURES:
        typer.echo(f"  and {len(failures) - _FAILURES} more")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("results")(results)
