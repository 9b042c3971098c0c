"""``turncoat scan-inputs MODEL DIR --clean DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turncoat.cli.opening import ArchOption, MeanOption, ModelArgument, RangeOption, ShapeOption, StdOption

_SHOWN = 20
"""So many suspicious files are told one by one."""


def scan_inputs(
    model: ModelArgument,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Any folder of images; folders in it need be no classes.")],
    *,
    clean: Annotated[
        str,
        typer.Option(
            "--clean", metavar="DIR", help="Images that you trust, a folder a class; of a one-shot network, its support."
        ),
    ],
    detector: Annotated[
        str | None, typer.Option("--detector", metavar="NAME", help="Of `turncoat list detectors`; mahalanobis unless given.")
    ] = None,
    fpr: Annotated[float, typer.Option("--fpr", help="Share of clean inputs that may be flagged.")] = 0.01,
    alpha: Annotated[
        float, typer.Option("--alpha", help="Exit with 3 where chance alone would flag so many less often than this.")
    ] = 0.01,
    arch: ArchOption = None,
    shape: ShapeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    input_range: RangeOption = "0,1",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the split of the clean images, and of what is drawn.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="New folder for scores.csv and report.html.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")] = False,
) -> None:
    """Which of these images carry a trigger?

    Prints a line a file that is suspicious, and how many chance would flag. Exits with 0 if no more are flagged than chance
    explains, 3 if more are, 2 if something given is wrong.
    """
    from turncoat.cli.live import listening
    from turncoat.cli.opening import open_both
    from turncoat.detect.guard import DEFAULT, guard
    from turncoat.detect.scan import scan_inputs as scan
    from turncoat.detect.scanned import as_json as written
    from turncoat.detect.scanned import summary, write_scan
    from turncoat.errors import TurncoatError, shown
    from turncoat.train.placement import place

    if not 0 < alpha < 1:
        raise TurncoatError(f"--alpha: expected a share between 0 and 1, got {alpha:g}")
    name = detector or DEFAULT
    with listening() as listener:
        opening = open_both(
            model, clean, arch=arch, shape=shape, mean=mean, std=std, input_range=input_range, progress=listener.progress
        )
        assert opening.clean is not None
        watching = guard(opening.model.network, opening.clean, name, fpr, seed=seed, placement=place(device))
        found = scan(watching, directory, opening.model.shape, opening.clean.classes, progress=listener.progress)
    if out is not None:
        facts = [("model", str(model)), ("images of", str(directory)), ("clean images", clean), ("detector", name)]
        write_scan(found, out, facts, f"Inputs of {model.resolve().name}", alpha)
    if as_json:
        import json

        typer.echo(json.dumps({"detector": name, **written(found, alpha), "notes": list(opening.notes)}, allow_nan=False))
    else:
        for row in [row for row in found.rows if row.suspicious][:_SHOWN]:
            typer.echo(f"suspicious  {row.score:9.3f}  {row.p_value:.4f}  {shown(row.prediction):<20}  {shown(row.file)}")
        if found.flagged > _SHOWN:
            typer.echo(f"and {found.flagged - _SHOWN:,} more suspicious; --out DIR or --json tells all")
        for file, error in found.unreadable[:_SHOWN]:
            typer.echo(f"turncoat: not read: {shown(file)}: {error}", err=True)
        for note in opening.notes:
            typer.echo(f"note: {note}")
        typer.echo(f"threshold {watching.threshold.statement()}")
        typer.echo(summary(found))
        if out is not None:
            typer.echo(f"report  {out / 'report.html'}")
    if found.p_value <= alpha:
        raise typer.Exit(3)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("scan-inputs")(scan_inputs)
