"""A dated table in benchmarks/RESULTS.md."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


@dataclass(frozen=True)
class Line:
    """One measured figure."""

    what: str
    figure: str
    note: str = ""


def append(title: str, where: str, lines: Sequence[Line]) -> str:
    """Add a section for this run to the file, newest last, and give its text."""
    rows = [f"| {line.what} | {line.figure} | {line.note} |" for line in lines]
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = "\n".join([f"## {title}, {date}", "", where, "", "| what | figure | note |", "|---|---|---|", *rows, ""])
    before = RESULTS.read_text() if RESULTS.exists() else "# Benchmark results\n"
    RESULTS.write_text(f"{before.rstrip()}\n\n{text}")
    return text
