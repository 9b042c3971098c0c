"""``turncoat report DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A store (what --out named), or one trial's folder in it.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="File to write; DIR/report.html unless given.")
    ] = None,
) -> None:
    """Write one self-contained HTML page of everything in DIR, and print its path."""
    from turncoat.report.page import write_report

    typer.echo(write_report(directory, out))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)
