"""The command line: a thin layer over the public functions. Nothing here imports torch before a command runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import turncoat
from turncoat.cli import (
    audit_data,
    audit_model,
    data,
    gc,
    listing,
    poison,
    repair,
    report,
    reproduce,
    results,
    run,
    scan_inputs,
    score,
    study,
    trigger,
)
from turncoat.errors import TurncoatError, shown


class _Commands(TyperGroup):
    """Shows a `TurncoatError` as its lines and exits with code 2: a user's mistake is no traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TurncoatError as error:
            for line in str(error).splitlines():
                typer.echo(f"turncoat: {shown(line)}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"turncoat {turncoat.__version__}")
        raise typer.Exit


@app.callback()
def turncoat_command(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Plant, measure, find and remove backdoors in image classifiers and one-shot networks."""
    del version


_COMMANDS = {
    "Plant and measure": (run, study, reproduce, results, report, poison, trigger),
    "Find and remove": (audit_model, audit_data, scan_inputs, repair, score),
    "Look around and tidy up": (listing, data, gc),
}
for panel, commands in _COMMANDS.items():
    known = [*app.registered_commands, *app.registered_groups]
    for command in commands:
        command.register(app)
    for added in (*app.registered_commands, *app.registered_groups):
        if added not in known:
            added.rich_help_panel = panel


def main() -> None:
    """The console entry point."""
    app()
