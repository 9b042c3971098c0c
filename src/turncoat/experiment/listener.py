"""`Listener`: what a trial tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from turncoat.progress import Progress, silent
from turncoat.train.engine import EpochRecord


def _ignore(what: str, record: EpochRecord) -> None:
    del what, record


@dataclass(frozen=True)
class Listener:
    """progress: any work, step by step. epoch: an epoch of the ``victim`` or ``clean twin`` is over. Nobody by default."""

    progress: Progress = silent
    epoch: Callable[[str, EpochRecord], None] = _ignore

    def named(self, what: str) -> Progress:
        """Progress under a name of one's own."""

        def tell(_: str, done: int, total: int) -> None:
            self.progress(what, done, total)

        return tell
