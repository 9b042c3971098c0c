"""``turncoat repair MODEL --clean DIR --method NAME``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turncoat.cli.opening import ArchOption, CleanOption, MeanOption, ModelArgument, RangeOption, ShapeOption, StdOption

if TYPE_CHECKING:
    from turncoat.cli.opening import Opening
    from turncoat.progress import Progress
    from turncoat.repair.run import Audit, RepairResult
    from turncoat.repair.written import Known
    from turncoat.train.placement import Placement


def repair(
    model: ModelArgument,
    clean: CleanOption = None,
    *,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME|auto", help="One of `turncoat list repairs`, or auto.")
    ] = "auto",
    arch: ArchOption = None,
    shape: ShapeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    input_range: RangeOption = "0,1",
    audit: Annotated[
        bool, typer.Option("--audit", help="Audit before and after with any method, as auto and unlearning do.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the split of the clean images and of the training.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.safetensors", help="The new weights; repairs/MODEL.safetensors unless given."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")] = False,
) -> None:
    """Remove a backdoor from a model and keep its accuracy; the model given is left as it is.

    A fifth of the clean images chooses, the rest is learnt from. The page beside the new weights tells before and after.
    Exits with 0 where the model was repaired, 3 where it could not be and the new weights are the old ones, 2 if something given
    is wrong.
    """
    from turncoat.cli.live import listening
    from turncoat.cli.opening import open_both
    from turncoat.errors import TurncoatError
    from turncoat.repair.run import parsed, repair_model
    from turncoat.repair.save import check_out, save_repaired
    from turncoat.repair.written import as_json as written
    from turncoat.repair.written import lead, rows, sheet
    from turncoat.report.sheet import write_sheet
    from turncoat.train.placement import place

    name = model.resolve().name
    target = out or Path("repairs") / f"{name.removesuffix('.safetensors')}.safetensors"
    check_out(target, model)
    wanted = method if method == "auto" else parsed(method)
    audited = audit or wanted == "auto" or (not isinstance(wanted, str) and wanted.needs_trigger)
    placement = place(device)
    with listening() as listener:
        opening = open_both(
            model, clean, arch=arch, shape=shape, mean=mean, std=std, input_range=input_range, progress=listener.progress
        )
        if opening.model.one_shot:
            raise TurncoatError("repair: expected a classifier, got a Siamese network; repairs are for classifiers")
        result = repair_model(
            opening.model.network,
            opening.clean,
            wanted,
            shape=opening.model.shape,
            audit=_auditor(opening, seed, placement, listener.progress) if audited else None,
            seed=seed,
            placement=placement,
            progress=listener.progress,
        )
        save_repaired(result.network, opening.model, model, target)
        known, notes = _known(opening, result, placement, listener.progress)
    page = target.with_suffix(".html")
    notes = (*opening.notes, *notes)
    write_sheet(page, sheet(result, known, name, notes))
    if as_json:
        import json

        typer.echo(json.dumps(written(result, known, target, notes), allow_nan=False))
        raise typer.Exit(3 if result.left else 0)
    typer.echo(lead(result))
    for what, before, after in rows(result, known):
        typer.echo(f"  {what:<38}{before:<36}{after}")
    for note in notes:
        typer.echo(f"  note: {note}")
    typer.echo(f"time    {result.seconds:.0f} s")
    typer.echo(f"weights {target}")
    typer.echo(f"report  {page}")
    if result.left:
        raise typer.Exit(3)


def _auditor(opening: Opening, seed: int, placement: Placement, progress: Progress) -> Audit:
    from dataclasses import replace

    from torch import nn

    from turncoat.audit.model import audit_model
    from turncoat.data.imageset import ImageSet
    from turncoat.repair.run import Audited

    def audit(network: nn.Module, clean: ImageSet | None) -> Audited:
        model = replace(opening.model, network=network, bare=None)
        found = audit_model(model, clean, seed=seed, placement=placement, progress=progress)
        return Audited(found.verdict.p_value, found.findings[found.verdict.best].target, found.trigger)

    return audit


def _known(opening: Opening, result: RepairResult, placement: Placement, progress: Progress) -> tuple[Known, tuple[str, ...]]:
    """The trial's own attack, where the model is one of ours and its images are there."""
    from turncoat.errors import TurncoatError
    from turncoat.experiment.repaired import evaluate_repair

    trial = opening.model.trial
    if trial is None:
        return {}, ()
    try:
        return evaluate_repair(trial, (opening.model.network, result.network), opening.clean, placement, progress), ()
    except TurncoatError as error:
        return {}, (f"the trial's own attack was not measured: {error}",)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("repair")(repair)
