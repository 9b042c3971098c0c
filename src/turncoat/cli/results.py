"""``turncoat results DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def results(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A store (what --out named).")],
    metric: Annotated[str | None, typer.Option("--metric", help="Only this metric, e.g. asr.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole long table as a JSON array.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="The whole long table as CSV.")] = False,
) -> None:
    """The figures of all trials: a line a configuration, or with --json or --csv a row a figure."""
    from turncoat.errors import TurncoatError

    if as_json and as_csv:
        raise TurncoatError("results: expected --json or --csv, got both")
    if as_json or as_csv:
        from turncoat.experiment.table import results as read_results

        table = read_results(directory, metric)
        text = table.to_csv(index=False) if as_csv else table.to_json(orient="records", double_precision=15)
        typer.echo(str(text).rstrip("\n"))
        return

    from turncoat.cli.tables import make_console, print_results

    print_results(directory, metric, make_console())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("results")(results)
