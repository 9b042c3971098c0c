"""``turncoat study STUDY.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turncoat.cli.ending import end
from turncoat.cli.where import (
    MaxFailuresOption,
    PerGpuOption,
    RayOption,
    ResourcesOption,
    TogetherOption,
    WorkersOption,
    executor,
)

if TYPE_CHECKING:
    from turncoat.experiment.plan import Plan


def study(
    path: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="A base configuration and axes to cross over it.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[a.b=c ...]", help="Settings of the base, or axes.a.b=[...].")
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The store; what it has is read, not run.")] = Path("runs"),
    workers: WorkersOption = None,
    per_gpu: PerGpuOption = None,
    ray: RayOption = None,
    per_trial: ResourcesOption = None,
    together: TogetherOption = None,
    max_failures: MaxFailuresOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, say what is left to do and how long it takes; train nothing.")
    ] = False,
) -> None:
    """Run every combination of the axes; interrupted at any moment, run it again and it goes on.

    Everything is checked before the first trial. A trial that fails or diverges is recorded and does not stop the others;
    the command then exits with 1. Ctrl-C leaves whole trials only, and exits with 130.
    """

    from turncoat.cli.console import make_console
    from turncoat.cli.live import watching
    from turncoat.cli.tables import print_trials
    from turncoat.experiment.plan import plan
    from turncoat.experiment.study import study as run_study
    from turncoat.experiment.summary import study_summary

    where = executor(workers, per_gpu, ray, per_trial)
    if dry_run:
        print_plan(plan(path, overrides or (), out=out, executor=where, together=together), as_json)
        return
    try:
        with watching() as watch:
            result = run_study(
                path,
                overrides or (),
                out=out,
                executor=where,
                together=together,
                max_failures=max_failures,
                report=False,
                watch=watch,
            )
    except KeyboardInterrupt:
        typer.echo(f"turncoat: interrupted; finished trials are in {out}, give the same command again to go on", err=True)
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(study_summary(result))
    else:
        print_trials(result.trials, make_console())
    end(result, out, quiet=as_json)


def print_plan(plan: Plan, as_json: bool) -> None:
    """A line a trial, then what is to be trained and how long that takes."""
    left = len({trial.key for trial in plan.trials if not trial.finished})
    if as_json:
        import json

        trials = [
            {"settings": trial.cell.settings, "key": trial.key, "finished": trial.finished, "seconds": trial.seconds}
            for trial in plan.trials
        ]
        shared = {"twins_to_train": plan.twins, "random_twins_to_train": plan.random_twins, "surrogates": plan.surrogates}
        victims = {"victims_to_train": plan.victims, "of_these_together": plan.together, "groups": plan.groups}
        told = {"finished": plan.finished, **victims, **shared}
        time = {"at_once": plan.slots, "seconds": plan.seconds, "of_unknown_time": plan.unknown}
        typer.echo(json.dumps({"trials": trials, **told, **time}))
        return
    for trial in plan.trials:
        known = "" if trial.finished or trial.seconds is None else f"  about {duration(trial.seconds)}"
        typer.echo(f"{'finished' if trial.finished else 'to run  '}  {trial.cell.label}{known}")
    trained = [f"{plan.victims} victims", f"{plan.twins} clean twins"]
    trained += [f"{plan.random_twins} random twins"] if plan.random_twins else []
    trained += [f"up to {plan.surrogates} surrogates"] if plan.surrogates else []
    typer.echo(f"{len(plan.trials)} trials, {plan.finished} finished; to train: {', '.join(trained)}")
    if plan.groups:
        groups = "1 group" if plan.groups == 1 else f"{plan.groups} groups"
        typer.echo(f"{plan.together} of {plan.victims} victims are trained together in {groups}")
    if left:
        typer.echo(_time(plan, left))


def _time(plan: Plan, left: int) -> str:
    at_once = f", {plan.slots} at once" if plan.slots > 1 else ""
    if plan.unknown == left:
        return "time    unknown: no trial like these has been measured in this store yet"
    rest = f", and {plan.unknown} trials of unknown time, which none in this store is like" if plan.unknown else ""
    return f"time    about {duration(plan.seconds)}{at_once}{rest}"


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.4 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("study")(study)
