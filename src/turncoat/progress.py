"""Progress as a value that is passed along, so that the library is silent unless someone listens."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as ``progress(what, done, total)``; ``total`` is 0 where it is not known. Cheap enough to call each step."""


def silent(what: str, done: int, total: int) -> None:
    """The default listener: tells nobody."""
    del what, done, total
