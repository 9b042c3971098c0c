"""``turncoat reproduce NAME``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turncoat.cli.ending import end
from turncoat.cli.listing import print_lines
from turncoat.cli.study import print_plan
from turncoat.cli.where import PerGpuOption, RayOption, ResourcesOption, TogetherOption, WorkersOption, executor

if TYPE_CHECKING:
    from rich.table import Table

    from turncoat.reproductions import Claim, Comparison
    from turncoat.reproductions.run import Judged


def reproduce(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which one; `list` shows them.")],
    *,
    fast: Annotated[bool, typer.Option("--fast", help="A small stand-in that needs no data and takes minutes.")] = False,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="PATH", help="A local copy of the data set; else it is downloaded.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", metavar="K", min=1, help="K seeds, instead of as many as the claims need.")
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option("--epochs", metavar="E", help="At most E epochs a training: a shortened schedule, told as such."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The store; what it has is read, not run.")] = Path(
        "runs/reproduce"
    ),
    workers: WorkersOption = None,
    per_gpu: PerGpuOption = None,
    ray: RayOption = None,
    per_trial: ResourcesOption = None,
    together: TogetherOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array, an object a claim, and nothing else.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is left to do and how long it takes; train nothing.")
    ] = False,
) -> None:
    """Run a published experiment and judge what it claimed: a study, and a verdict on each statement.

    Interrupted at any moment, give it again and it goes on. Exits with 0 when all trials ran, whatever the verdicts, and with 1
    if a trial failed or diverged.
    """
    if name == "list":
        _print_list(as_json)
        return
    from turncoat.cli.live import watching
    from turncoat.reproductions.run import cells
    from turncoat.reproductions.run import reproduce as run_reproduction

    where = executor(workers, per_gpu, ray, per_trial)
    if dry_run:
        from turncoat.experiment.plan import plan_cells

        every = cells(name, fast=fast, data=data, seeds=seeds, epochs=epochs)
        print_plan(plan_cells(every, out=out, executor=where, together=together), as_json)
        return
    with watching() as watch:
        result = run_reproduction(
            name,
            fast=fast,
            data=data,
            seeds=seeds,
            epochs=epochs,
            out=out,
            executor=where,
            together=together,
            report=False,
            watch=watch,
        )
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(claim) for claim in result.claims]))
    else:
        for judged in result.judged:
            _print_judged(judged)
    end(result, out, quiet=as_json)


def _print_judged(judged: Judged) -> None:
    from turncoat.cli.console import make_console

    console = make_console()
    console.print(claims_table(judged.claims, judged.experiment.name))
    for claim in judged.claims:
        if claim.note:
            typer.echo(f"{claim.id}  {claim.note}")
    if judged.comparisons:
        console.print(comparisons_table(judged.comparisons))
    if judged.experiment.source and any(line.published is not None for line in judged.comparisons):
        typer.echo(f"published: {judged.experiment.source}")


def claims_table(claims: Sequence[Claim], title: str = "") -> Table:
    """A line a claim. Values are shares and ratios, not percent."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from turncoat.report.summary import Estimate
    from turncoat.reproductions.claims import told

    table = Table(box=box.SIMPLE_HEAD, show_lines=True, title=escape(title) or None, title_justify="left")
    for head in ("", "claim", "expected"):
        table.add_column(head, no_wrap=not head)
    table.add_column("found", justify="right", no_wrap=True)
    table.add_column("seeds", justify="right")
    table.add_column("verdict", no_wrap=True)
    colours = {"holds": "green", "does not hold": "red", "not decided": "yellow"}
    for claim in claims:
        figure = None if claim.value is None else Estimate(claim.value, claim.low, claim.high, claim.seeds, claim.n, "none")
        cells = map(escape, (claim.id, claim.statement, claim.expected, told(figure), str(claim.seeds)))
        table.add_row(*cells, f"[{colours[claim.verdict]}]{claim.verdict}[/]")
    return table


def comparisons_table(lines: Sequence[Comparison]) -> Table:
    """A line a figure, beside the published one where any is, and the random twin's where there is one."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from turncoat.report.claims import decimal
    from turncoat.reproductions.claims import told

    published, random = (any(getattr(line, name) is not None for line in lines) for name in ("published", "random_twin"))
    heads = ("setting", "figure", *["published"] * published, "victim", "clean twin", *["random twin"] * random)
    table = Table(*heads, box=box.SIMPLE_HEAD)
    for line in lines:
        ours = [told(one) for one in (line.victim, line.clean_twin, *[line.random_twin] * random)]
        theirs = "" if line.published is None else decimal(line.published)
        if line.least is not None and line.greatest is not None:
            theirs += f" ({decimal(line.least)} to {decimal(line.greatest)})"
        table.add_row(*map(escape, (line.setting, line.metric, *[theirs] * published, *ours)))
    return table


def _print_list(as_json: bool) -> None:
    from turncoat.component import members
    from turncoat.reproductions import Reproduction

    print_lines([{"name": name, "what it is": member.summary()} for name, member in members(Reproduction).items()], as_json)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reproduce")(reproduce)
