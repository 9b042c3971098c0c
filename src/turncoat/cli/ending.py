"""How commands end that have run trials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from turncoat.experiment.study import StudyResult


def write_page(out: Path, quiet: bool) -> None:
    """Write the store's page and, unless ``quiet``, tell where it is."""
    from turncoat.report.page import write_report

    page = write_report(out)
    if not quiet:
        typer.echo(f"report  {page}")


def end(result: StudyResult, out: Path, quiet: bool) -> None:
    """Tell how many trials the store has, write its page, tell of trials that failed or diverged; with any, exit with 1.

    quiet: whether standard output is taken by JSON.
    """
    if not quiet:
        read = sum(trial.cached for trial in result.trials)
        typer.echo(f"trials  {len(result.trials)} in {out}, {read} of them read from the store")
    if result.trials:
        write_page(out, quiet)
    for failure in result.failures:
        typer.echo(f"turncoat: failed: {failure.cell.label}: {failure.error} (see {failure.log})", err=True)
    for trial in result.diverged:
        typer.echo(f"turncoat: {trial.folder}: {trial.record.error}", err=True)
    if result.skipped:
        typer.echo(f"turncoat: {len(result.failures)} trials failed, {len(result.skipped)} were not begun", err=True)
    if result.failures or result.diverged:
        raise typer.Exit(1)
