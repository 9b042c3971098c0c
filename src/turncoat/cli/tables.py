"""Figures as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from turncoat.errors import TurncoatError, shown
from turncoat.experiment.conditions import FIGURES, OF_ROW, check_metric, check_name, matching, read_condition
from turncoat.experiment.crossed import Crossed
from turncoat.experiment.index import indexed
from turncoat.experiment.selection import select
from turncoat.report import multilabel_words, oneshot_words, words
from turncoat.report.cells import Cell, group, telling_keys
from turncoat.report.defences import DefenceTable, defence_tables, refused
from turncoat.report.parts import FEATURED, short
from turncoat.report.read import Trial
from turncoat.report.summary import Estimate

METRICS = {
    "ca": "CA   clean accuracy",
    "asr": "ASR  attack success rate",
    "natural_asr": "NAT  natural trigger, unmodified",
    "ra": "RA   triggered, still right",
    "leakage": "     other classes, called the target",
    "cross_accuracy": "     another image's trigger, still right",
}


LONG = 200
"""Lines of a table above which it is printed plainly."""


def print_results(folder: Path, metric: str | None, console: Console, where: Sequence[str] = ()) -> None:
    """A line a configuration of a store; with ``metric``, that one for victim and twin, overall."""
    conditions = [read_condition(one) for one in where]
    of_rows = [one for one in conditions if one.name in (*OF_ROW, *FIGURES)]
    if of_rows:
        raise TurncoatError(
            f"--where {str(of_rows[0])!r}: chooses among rows; expected --csv, --json, --out or --pivot beside it"
        )
    metrics = (metric,) if metric else ("ca", "asr")
    with indexed(folder) as connection:
        if metric is not None:
            check_metric(connection, metric, "evaluate")
        for one in conditions:
            check_name(connection, one.name, "--where")
        wanted = """r.stage = 'evaluate' AND r."group" = '' AND list_contains($metrics, r.metric)"""
        cells = select(connection, matching(connection, conditions), wanted, {"metrics": list(metrics)}).cells
    if not cells:
        raise TurncoatError(f"--where: expected trials where {', '.join(map(str, conditions))}, found none")
    _print_table(_cells_lines(cells, metrics), console)
    _print_lines([words.diverged(cell) for cell in cells], console)


def print_crossed(table: Crossed, console: Console) -> None:
    """A pivot, what its figures are, and what else to know."""
    _print_table(table, console)
    _print_lines([table.caption, *table.notes], console)


def _print_table(table: Crossed, console: Console) -> None:
    if len(table.rows) > LONG:
        for line in _plain_lines(table):
            console.file.write(f"{line}\n")
    else:
        console.print(_rich(table))


def _rich(table: Crossed) -> Table:
    rich = Table(box=box.SIMPLE_HEAD)
    for place, head in enumerate(table.heads):
        figure = place >= table.settings
        rich.add_column(escape(head), justify="right" if figure else "left", no_wrap=figure)
    for row in table.rows:
        rich.add_row(*map(escape, row))
    return rich


def _plain_lines(table: Crossed) -> list[str]:
    """The same without colours, a hundred times as fast."""
    cells = [[shown(cell) for cell in row] for row in (table.heads, *table.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "".join(_padded(cell, width, place < table.settings) for place, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    ]
    return [
        lines[0].rstrip(),
        " " + "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * (len(lines[0]) - 2),
        *(line.rstrip() for line in lines[1:]),
    ]


def _padded(cell: str, width: int, left: bool) -> str:
    blank = " " * (width - cell_len(cell))
    return f"  {cell}{blank} " if left else f"  {blank}{cell} "


def print_trials(trials: Sequence[Trial], console: Console) -> None:
    """One configuration in detail, or a line each of several."""
    cells = group(trials)
    if len(cells) == 1:
        console.print(trial_table(cells[0]))
        for table in defence_tables(cells[0]):
            _print_defences(table, console)
        _print_lines([words.basis(cells[0]), refused(cells[0]), words.diverged(cells[0])], console)
    elif cells:
        precise = any(cell.is_multi_label for cell in cells)
        console.print(cells_table(cells, ("map", "ca", "asr") if precise else ("ca", "asr")))
        _print_lines([words.diverged(cell) for cell in cells], console)


def _print_defences(table: DefenceTable, console: Console) -> None:
    rich = Table(title=table.title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for head in table.head:
        rich.add_column(head, justify="right" if head else "left", no_wrap=not head)
    for row in table.rows:
        rich.add_row(*map(escape, row))
    console.print(rich)


def _print_lines(lines: Sequence[str], console: Console) -> None:
    for line in dict.fromkeys(lines):
        if line:
            console.print(line, markup=False, highlight=False)


def trial_table(cell: Cell) -> Table:
    """Victim beside its twins, metric by metric, with 95% intervals."""
    record = cell.first.record
    poison = f"{words.rate(record.poison.rate)} poisoned" if record.poison else ""
    poison = "trained by the attacker" if words.trained_by_attacker(cell) else poison
    attack = "no attack" if cell.is_clean else f"{record.attack.name} ({record.attack.goal})"
    title = ", ".join(filter(None, (f"{attack} on {record.data.name}", record.model, poison)))
    table = Table(title=escape(title), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("")
    for network in cell.networks:
        table.add_column(network.name, justify="right", no_wrap=True)
    table.add_column("n", justify="right")
    for metric, where, meaning in _lines(cell):
        found = [cell.share(network.method, metric, where) for network in cell.networks]
        if any(estimate is not None for estimate in found):
            count = next((one.n for one in found if one is not None and one.n is not None), None)
            table.add_row(meaning, *(escape(_figure(one)) for one in found), "" if count is None else f"{count:,}")
    return table


def _lines(cell: Cell) -> list[tuple[str, str, str]]:
    """Metric, group and meaning; clean accuracy with and without a natural feature below that of all images."""
    lines = [(metric, "", meaning) for metric, meaning in _meanings(cell).items()]
    lines[1:1] = [(metric, group, f"     on {group} images") for metric, group in FEATURED]
    return lines


def _meanings(cell: Cell) -> dict[str, str]:
    """What the lines of a trial's table are; a one-shot trial tells what its pairs and tasks are."""
    if cell.is_multi_label:
        return {metric: name for metric, (name, _) in multilabel_words.METRICS.items()}
    if not cell.is_one_shot:
        return METRICS
    told = {metric: f"{metric.upper():<4} {meaning}" for metric, (_, meaning) in oneshot_words.metrics(cell).items()}
    return {metric: told[metric] for metric in METRICS if metric in told}


def cells_table(cells: Sequence[Cell], metrics: Sequence[str] = ("ca", "asr")) -> Table:
    """A line a configuration: what tells it from the others, its seeds, the metrics of victim and twin."""
    return _rich(_cells_lines(cells, metrics))


def _cells_lines(cells: Sequence[Cell], metrics: Sequence[str]) -> Crossed:
    keys = telling_keys(cells)
    pairs = [(method, metric) for method in ("victim", "clean-twin") for metric in metrics]
    heads = [f"twin {short(metric)}" if method == "clean-twin" else short(metric) for method, metric in pairs]
    rows = [
        [
            *(words.setting(key, cell.settings.get(key)) for key in keys),
            str(len(cell.done)),
            *(_figure(cell.share(*pair)) for pair in pairs),
        ]
        for cell in cells
    ]
    return Crossed([*map(words.label, keys), "seeds", *heads], len(keys), rows, "", ())


def _figure(estimate: Estimate | None) -> str:
    return "\N{EN DASH}" if estimate is None else words.with_bounds(estimate)
