"""``turncoat run CONFIG.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turncoat.cli.ending import write_page
from turncoat.cli.here import import_from_here


def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The trial's configuration.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[a.b=c ...]", help="Settings to change, by path.")] = None,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The store; what it has is read, not run.")] = Path("runs"),
    seeds: Annotated[int, typer.Option("--seeds", metavar="K", min=1, help="Run on K seeds, counted from the one given.")] = 1,
    model_factory: Annotated[
        str | None,
        typer.Option("--model-factory", metavar="PACKAGE.MODULE:FUNCTION", help="Your own victim. This imports and runs it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Leave DIR/report.html as it is.")] = False,
) -> None:
    """Plant a backdoor, train the victim and its clean twin, measure both.

    The same configuration again is read from the store. Exits with 1 if a training diverged, 2 if something given is wrong.
    """
    from turncoat.cli.live import listening
    from turncoat.experiment.run import run as run_trials

    if model_factory is not None:
        import_from_here()
    with listening() as listener:
        trials = run_trials(
            config, overrides or (), out=out, seeds=seeds, model_factory=model_factory, report=False, listener=listener
        )
    if as_json:
        from turncoat.experiment.summary import summary

        typer.echo(summary(trials))
    else:
        from turncoat.cli.console import make_console
        from turncoat.cli.tables import print_trials

        print_trials(trials, make_console())
        for trial in trials:
            typer.echo(f"trial   {trial.folder}" + ("  (read from the store)" if trial.cached else ""))
    if not no_report:
        write_page(out, quiet=as_json)
    diverged = [trial for trial in trials if trial.record.status == "diverged"]
    for trial in diverged:
        typer.echo(f"turncoat: seed {trial.record.seed}: {trial.record.error}", err=True)
    if diverged:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)
