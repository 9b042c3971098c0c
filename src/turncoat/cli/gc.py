"""``turncoat gc DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def gc(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A store (what --out named).")],
    twins: Annotated[bool, typer.Option("--twins", help="Clean twins that no finished trial refers to as well.")] = False,
) -> None:
    """Remove left-overs of killed processes and the weights that no trial keeps (keep_models); never a figure."""
    from turncoat.experiment.collect import collect_garbage

    found = collect_garbage(directory, twins)
    typer.echo(
        f"removed {found.partials} unfinished folders, weights of {found.weights} clean twins, {found.twins} unused twins: "
        f"{found.bytes / 2**20:.1f} MiB"
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gc")(gc)
