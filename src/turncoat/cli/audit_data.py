"""``turncoat audit-data DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turncoat.cli.opening import ArchOption, MeanOption, RangeOption, StdOption

if TYPE_CHECKING:
    from turncoat.audit.data import DataAudit


def audit_data(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DIR",
            help="A folder of class folders (or with train/), a table file,label, an .npz file, or a data set by name.",
        ),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="For suspects.csv, scores.csv, audit.json and report.html.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="MODEL", help="To embed with: a trial's folder or a model's file. Else one is trained."),
    ] = None,
    arch: ArchOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    input_range: RangeOption = "0,1",
    methods: Annotated[
        str | None,
        typer.Option("--methods", metavar="A,B", help="Of `turncoat list detectors`; by default all that are for data."),
    ] = None,
    by: Annotated[
        Path | None, typer.Option("--by", metavar="CSV", help="A table file,annotator: whose are the suspects?")
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Also write the set without the suspects to DIR/cleaned.")] = False,
    size: Annotated[int | None, typer.Option("--size", metavar="PX", min=1, help="Resize images of mixed sizes to this.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the networks that are trained.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, with the scores of all images, and nothing else.")
    ] = False,
) -> None:
    """Which images and labels of a data set are poisoned? No clean images are needed.

    Exits with 0 where nothing stands out, 3 where something is suspicious, 2 if something given is wrong.
    """
    from turncoat.audit.data import audit_data as audit
    from turncoat.audit.data_page import lead, why
    from turncoat.audit.data_written import CLEANED, write_cleaned, write_data_audit
    from turncoat.cli.live import listening
    from turncoat.data.named import load_named
    from turncoat.errors import TurncoatError, shown

    name = Path(data.rstrip("/")).name or "data"
    folder = out or Path("audits") / name.replace(":", "-")
    if drop and (folder / CLEANED).exists():
        raise TurncoatError(f"{shown(folder / CLEANED)}: is there already; name a new folder with --out, or remove this one")
    network = shape = None
    with listening() as listener:
        if model is not None:
            from turncoat.cli.opening import open_both

            opened = open_both(model, None, arch=arch, mean=mean, std=std, input_range=input_range).model
            network, shape = opened.network, opened.shape
        source = load_named(data, size=None if size is None else (size, size), progress=listener.progress)
        if network is not None and shape != source.data.shape:
            raise TurncoatError(
                f"--model: takes images of {shape} (C, H, W), the data set's are {source.data.shape}; give --size"
            )
        chosen = [one.strip() for one in methods.split(",")] if methods else ()
        found = audit(source, network=network, methods=chosen, by=by, seed=seed, progress=listener.progress)
    record = write_data_audit(found, folder, name)
    cleaned = write_cleaned(found, folder / CLEANED) if drop else None
    if as_json:
        import json

        typer.echo(json.dumps(record, allow_nan=False))
    else:
        typer.echo(f"{found.verdict}: {lead(found)}")
        if found.combined.stands_out:
            typer.echo(why(found))
            _tables(found)
        what = "the list" if found.combined.stands_out else "what ranks first all the same"
        typer.echo(f"suspects  {folder / 'suspects.csv'}  {what}")
        typer.echo(f"report    {folder / 'report.html'}  with pictures")
        if cleaned is not None:
            typer.echo(f"cleaned   {cleaned[0]}  {cleaned[1]:,} of {len(found.names):,} images")
    if found.combined.stands_out:
        raise typer.Exit(3)


def _tables(found: DataAudit) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from turncoat.audit.data_page import class_rows, listed
    from turncoat.cli.console import make_console

    console = make_console()
    suspects = Table(title="First suspects", box=box.SIMPLE_HEAD, title_justify="left")
    for head in ("file", "given", "likely", "score", "reason"):
        suspects.add_column(head, justify="right" if head == "score" else "left")
    names = found.data.classes
    for sample in (int(one) for one in listed(found)[:10]):
        given, likely = int(found.data.labels[sample]), int(found.likely[sample])
        cells = (found.names[sample], names[given], names[likely], f"{float(found.scores[sample]):.3f}", found.reason(sample)[1])
        suspects.add_row(*map(escape, cells))
    console.print(suspects)
    classes = Table(box=box.SIMPLE_HEAD)
    for head in ("class", "images", "suspects", "expected", "found by"):
        classes.add_column(head, justify="left" if head in ("class", "found by") else "right")
    rows = [row for row in class_rows(found) if row[2] or row[4]]
    for name, images, suspect, expected, methods in rows:
        classes.add_row(escape(name), f"{images:,}", f"{suspect:,}", f"{expected:,}", methods)
    console.print(classes)
    if len(rows) < len(names):
        console.print(f"no suspects in the other {len(names) - len(rows):,} classes", markup=False)
    for one in found.annotators:
        share = f"{one.suspects / one.images:.1%} [{one.low:.1%}, {one.high:.1%}]"
        console.print(
            f"annotator {one.name}: {one.suspects:,} suspects of {one.images:,}, {share}, p = {one.p_value:.3g}", markup=False
        )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit-data")(audit_data)
