"""Runs every defence in a process of its own on what a defender has: ``python blind.py SEEN OUT [SEEN OUT ...]``.

OUT gets a file a method: its numbers, what it opened or listed of the folder that SEEN lies in, and its error if it failed.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)

from defended import METHODS, numbers, read  # noqa: E402 - after the number of threads

_LOOKS = ("open", "os.listdir", "os.scandir", "glob.glob")


def import_late_parts() -> None:
    """What torch and the methods import when they are first used: once here, rather than a second in each process."""
    import cleanlab.rank  # noqa: F401

    torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0).step()


def main(seen_at: Path, out: Path) -> None:
    os.chdir(seen_at)
    seen = read(seen_at)
    around = str(seen_at.parent)
    for family, name in METHODS:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        looked: list[str] = []

        def hook(event: str, arguments: tuple[Any, ...], looked: list[str] = looked) -> None:
            if event in _LOOKS and str(arguments[0]).startswith(around):
                looked.append(str(arguments[0]))

        sys.addaudithook(hook)
        found: dict[str, Any] = {"error": ""}
        try:
            found["numbers"] = numbers(family, name, seen)
        except Exception:  # noqa: BLE001 - whatever it be, the test shows it
            found["error"] = traceback.format_exc()
        torch.save(found | {"looked": list(looked)}, out / f"{family}-{name}.pt")
        os._exit(0)


if __name__ == "__main__":
    import_late_parts()
    places = [Path(given) for given in sys.argv[1:]]
    for seen_at, out in zip(places[::2], places[1::2], strict=True):
        main(seen_at, out)
