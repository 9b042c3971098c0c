"""``turncoat study STUDY.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from turncoat.experiment.study import Plan, StudyResult


def study(
    path: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="A base configuration and axes to cross over it.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[a.b=c ...]", help="Settings of the base, or axes.a.b=[...].")
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The store; what it has is read, not run.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and say what is left to do; train nothing.")
    ] = False,
) -> None:
    """Run every combination of the axes; interrupted at any moment, run it again and it goes on.

    Everything is checked before the first trial. A trial that fails or diverges is recorded and does not stop the others;
    the command then exits with 1.
    """

    from turncoat.cli.live import listening
    from turncoat.cli.tables import make_console, print_trials
    from turncoat.experiment.study import plan
    from turncoat.experiment.study import study as run_study
    from turncoat.experiment.summary import study_summary

    if dry_run:
        _print_plan(plan(path, overrides or (), out=out), as_json)
        return
    with listening() as (listener, announce):
        result = run_study(path, overrides or (), out=out, report=False, listener=listener, announce=announce)
    if as_json:
        typer.echo(study_summary(result))
    else:
        print_trials(result.trials, make_console())
        read = sum(trial.cached for trial in result.trials)
        typer.echo(f"trials  {len(result.trials)} in {out}, {read} of them read from the store")
    if result.trials:
        from turncoat.report import write_report

        page = write_report(out)
        if not as_json:
            typer.echo(f"report  {page}")
    end(result)


def end(result: StudyResult) -> None:
    """Tell of trials that failed or diverged; then exit with 1."""
    for failure in result.failures:
        typer.echo(f"turncoat: failed: {failure.cell.label}: {failure.error} (see {failure.log})", err=True)
    for trial in result.diverged:
        typer.echo(f"turncoat: {trial.folder}: {trial.record.error}", err=True)
    if result.failures or result.diverged:
        raise typer.Exit(1)


def _print_plan(plan: Plan, as_json: bool) -> None:
    finished = sum(plan.finished)
    if as_json:
        import json

        cells = [{"settings": cell.settings, "finished": done} for cell, done in zip(plan.cells, plan.finished, strict=True)]
        typer.echo(json.dumps({"trials": cells, "finished": finished, "twins_to_train": plan.twins}))
        return
    for cell, done in zip(plan.cells, plan.finished, strict=True):
        typer.echo(f"{'finished' if done else 'to run  '}  {cell.label}")
    left = len(plan.cells) - finished
    typer.echo(f"{len(plan.cells)} trials, {finished} finished; to train: {left} victims, {plan.twins} clean twins")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("study")(study)
