"""Progress on the terminal: one bar that follows the work. Nothing where nobody is watching."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from turncoat.experiment.grid import Cell
    from turncoat.experiment.listener import Listener
    from turncoat.train.engine import EpochRecord


@contextmanager
def listening() -> Generator[tuple[Listener, Callable[[int, int, Cell], None]]]:
    """A listener for a trial and an announcer for a study's trials, which draw on standard error if it is a terminal."""
    from turncoat.experiment.listener import Listener

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Listener(), _tell_nobody
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as bars:
        live = _Live(bars)
        yield Listener(live.step, live.epoch), live.announce


def _tell_nobody(done: int, total: int, cell: Cell) -> None:
    del done, total, cell


class _Live:
    """A bar for what is being done and, in a study, one above it for the trials."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.work: TaskID | None = None
        self.study: TaskID | None = None
        self.what = ""

    def step(self, what: str, done: int, total: int) -> None:
        if self.work is None or what != self.what:
            if self.work is not None:
                self.bars.remove_task(self.work)
            self.work, self.what = self.bars.add_task(escape(what), total=total or None, note=""), what
        self.bars.update(self.work, completed=done, total=total or None)

    def epoch(self, what: str, record: EpochRecord) -> None:
        if self.work is not None and what == self.what:
            note = f"epoch {record.epoch}  loss {record.loss:.3f}  CA {record.accuracy:.1%}"
            self.bars.update(self.work, note=note)

    def announce(self, done: int, total: int, cell: Cell) -> None:
        if self.study is None:
            self.study = self.bars.add_task("study", total=total, note="")
        self.bars.update(self.study, completed=done, description=f"trial {done + 1} of {total}", note=escape(cell.label))
