"""``turncoat list``: what there is to choose from, the package's own and installed plug-ins'."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from turncoat.attacks.common import AnyAttack
    from turncoat.component import Component
    from turncoat.detect.data import DataDetector
    from turncoat.detect.inputs import InputDetector
    from turncoat.detect.models import ModelDetector
    from turncoat.repair import Repair
    from turncoat.train.regularisers import Regulariser

Kind = Literal["attacks", "datasets", "detectors", "goals", "heads", "losses", "models", "networks", "regularisers", "repairs"]


def list_members(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON array.")] = False,
) -> None:
    """What there is of a kind: attacks, data sets, detectors, models, repairs ...; plug-ins included."""
    from turncoat.component import members

    print_lines([_describe(root, name, member) for root in _families(kind) for name, member in members(root).items()], as_json)


NARROW, FEW = 130, 3
"""Where the terminal has fewer columns, lines of more entries than these are told one below the other."""


def print_lines(lines: Sequence[dict[str, str]], as_json: bool) -> None:
    """A line a component, the same columns in each; on a narrow terminal a paragraph where there are many columns."""
    if as_json:
        import json

        typer.echo(json.dumps(lines))
        return
    from rich import box
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table

    from turncoat.cli.console import make_console

    console = make_console()
    if console.width < NARROW and lines and len(lines[0]) > FEW:
        for line in lines:
            name, summary, *facts, paper = line.items()
            console.print(f"[bold]{escape(name[1])}[/]", highlight=False)
            for part in (summary[1], "; ".join(f"{head}: {value}" for head, value in facts), paper[1]):
                console.print(Padding(escape(part), (0, 0, 0, 4), expand=False), highlight=False)
        return
    table = Table(box=box.SIMPLE_HEAD)
    for head in lines[0] if lines else ():
        table.add_column(head, no_wrap=head == "name", overflow="fold")
    for line in lines:
        table.add_row(*map(escape, line.values()))
    console.print(table)


_ROOTS: dict[Kind, Sequence[str]] = {
    "attacks": ("turncoat.attacks.common:AnyAttack",),
    "datasets": ("turncoat.data:Source",),
    "detectors": (
        "turncoat.detect.models:ModelDetector",
        "turncoat.detect.data:DataDetector",
        "turncoat.detect.inputs:InputDetector",
    ),
    "goals": ("turncoat.attacks.common:AnyGoal",),
    "heads": ("turncoat.oneshot.networks:Head",),
    "losses": ("turncoat.multilabel:LabelLoss",),
    "models": ("turncoat.models:Model",),
    "networks": ("turncoat.oneshot.networks:Embedder",),
    "regularisers": ("turncoat.train.regularisers:Regulariser",),
    "repairs": ("turncoat.repair:Repair",),
}
"""Families of a kind: imported when they are asked for, since most of them import torch."""


def _families(kind: Kind) -> Iterator[type[Component]]:
    for place in _ROOTS[kind]:
        module, _, name = place.partition(":")
        yield getattr(import_module(module), name)


def _describe(root: type[Component], name: str, member: type[Component]) -> dict[str, str]:
    facts = _FACTS.get(root.__name__)
    shown = f"{name}:{member.shorthand.upper()}" if member.shorthand else name
    return {"name": shown, "what it is": member.summary(), **(facts(member) if facts else {})}


def _attack(member: type[AnyAttack]) -> dict[str, str]:
    label = "clean label" if member.clean_label else "false labels"
    surrogate = "may use one" if member.surrogate else "none"
    return {"attacker changes": member.threat_model, "labels": label, "surrogate": surrogate, "paper": member.paper}


def _model_detector(member: type[ModelDetector]) -> dict[str, str]:
    return {"of": "a model", "needs": _images(member.needs_images), "paper": member.paper}


def _data_detector(member: type[DataDetector]) -> dict[str, str]:
    return {"of": "a data set", "needs": f"looks for {member.looks_for}", "paper": member.paper}


def _input_detector(member: type[InputDetector]) -> dict[str, str]:
    return {"of": "an input", "needs": member.cost, "paper": member.paper}


def _repair(member: type[Repair]) -> dict[str, str]:
    trigger = ", a trigger" if member.needs_trigger else ""
    return {"needs": _images(member.needs_images) + trigger, "paper": member.paper}


def _regulariser(member: type[Regulariser]) -> dict[str, str]:
    return {"paper": member.paper}


def _images(needed: bool) -> str:
    return "clean images" if needed else "the model alone"


_FACTS: dict[str, Callable[[Any], dict[str, str]]] = {
    "AnyAttack": _attack,
    "ModelDetector": _model_detector,
    "DataDetector": _data_detector,
    "InputDetector": _input_detector,
    "Repair": _repair,
    "Regulariser": _regulariser,
}
"""What is told of a family's members beside their name, by its root."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_members)
