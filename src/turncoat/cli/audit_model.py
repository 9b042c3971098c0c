"""``turncoat audit-model MODEL --clean DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from turncoat.cli.opening import ArchOption, CleanOption, MeanOption, ModelArgument, RangeOption, ShapeOption, StdOption


def audit_model(
    model: ModelArgument,
    clean: CleanOption = None,
    *,
    arch: ArchOption = None,
    shape: ShapeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    input_range: RangeOption = "0,1",
    alpha: Annotated[float, typer.Option("--alpha", help="How often a clean model may be called suspicious.")] = 0.01,
    methods: Annotated[
        str | None, typer.Option("--methods", metavar="A,B", help="Some of `turncoat list detectors`; all that can unless given.")
    ] = None,
    references: Annotated[
        int,
        typer.Option(
            "--references", metavar="M", min=0, help="Take p-values from M clean models, trained on the clean images and kept."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of the random starts.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="For the page and the trigger; audits/MODEL unless given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")] = False,
) -> None:
    """Is this model backdoored, towards which class, by what trigger?

    Without --clean, by the methods that need no images. Exits with 0 if nothing stands out, 3 if the model is suspicious, 2 if
    something given is wrong.
    """
    from turncoat.audit.model import audit_model as audit
    from turncoat.audit.references import References, stand_in
    from turncoat.audit.written import facts, lead, write_audit
    from turncoat.cli.live import listening
    from turncoat.cli.opening import open_both
    from turncoat.errors import TurncoatError
    from turncoat.train.placement import place

    if references and clean is None:
        raise TurncoatError("--references: expected --clean DIR as well, to train them on")
    with listening() as listener:
        opening = open_both(
            model, clean, arch=arch, shape=shape, mean=mean, std=std, input_range=input_range, progress=listener.progress
        )
        null = None
        if references and opening.clean is not None:
            null = References(opening.clean, stand_in(opening.model.shape), references, seed, progress=listener.progress)
        found = audit(
            opening.model,
            opening.clean,
            methods=None if methods is None else [name.strip() for name in methods.split(",")],
            alpha=alpha,
            references=null,
            seed=seed,
            placement=place(device),
            notes=opening.notes,
            progress=listener.progress,
        )
    folder = out or Path("audits") / model.resolve().name
    written = write_audit(found, folder, model.resolve().name)
    if as_json:
        import json

        typer.echo(json.dumps(written, allow_nan=False))
    else:
        typer.echo(lead(found))
        for label, value in facts(found):
            typer.echo(f"  {label:<32}{value}")
        for note in (*found.notes, *found.refused.values()):
            typer.echo(f"  note: {note}")
        typer.echo(f"report  {folder / 'report.html'}")
    if found.verdict.answer == "suspicious":
        raise typer.Exit(3)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit-model")(audit_model)
