"""The terminal."""

from __future__ import annotations

from rich.console import Console


def make_console() -> Console:
    """Standard output; where it is no terminal, wide enough that nothing is cut."""
    console = Console()
    return console if console.is_terminal else Console(width=max(160, console.width))
