"""Lake's runs: the one-shot tasks on which people, and most published methods, were measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Literal, NoReturn

from pydantic import Field

from turncoat.data.archive import read_members
from turncoat.data.decoding import Picture, Pictures, decode_pictures, from_file
from turncoat.data.download import RemoteFile
from turncoat.data.downloaded import Downloaded, locate
from turncoat.data.imageset import ImageSet, Splits
from turncoat.data.listing import ListedFile, Listing, list_file
from turncoat.data.oneshot import ClassSplit, Run
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress, silent

_ARCHIVE = "all_runs.zip"
_FOLDER = "all_runs"
_RUNS = 20
_WAYS = 20
_SIDE = 105
_LABELS = "class_labels.txt"
_MEMBER = re.compile(r"(?:^|/)(run\d\d/(?:training/class\d\d\.png|test/item\d\d\.png|class_labels\.txt))$")
_LONGEST = 1 << 16

Read = Callable[[], bytes]


class LakeRuns(Downloaded):
    """Lake's 20 tasks of 20-way one-shot classification within an alphabet of Omniglot, 105x105; loads one of them, 20 + 20.

    Lake, Salakhutdinov and Tenenbaum, Human-level concept learning through probabilistic program induction (Science 350, 2015).
    Trains on the support image of each character, tests on a query by another drawer.
    """

    name: Literal["lake-runs"] = "lake-runs"
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(
            _ARCHIVE,
            (f"https://raw.githubusercontent.com/brendenlake/omniglot/master/python/one-shot-classification/{_ARCHIVE}",),
            "sha256:437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325",
            352_787,
        ),
    )

    run: int = Field(default=1, ge=1, le=_RUNS, description="which task")
    size: int = Field(default=_SIDE, ge=1, le=_SIDE, description="side in pixels; smaller ones are resized by area")

    def read(self, root: Path, progress: Progress) -> Splits:
        whole = _read(root, self.size, progress)
        classes = tuple(name.partition("/")[2] for name in whole.train.classes[:_WAYS])
        rows = slice((self.run - 1) * _WAYS, self.run * _WAYS)
        first = (self.run - 1) * _WAYS
        return Splits(*(ImageSet(p.images[rows], p.labels[rows] - first, classes) for p in (whole.train, whole.test)))

    def one_shot(self, split: ClassSplit, progress: Progress = silent) -> NoReturn:
        del split, progress
        raise TurncoatError("lake-runs: expected data to train on, got tasks to test on; data=omniglot is tested on them too")


def read_runs(path: Path, size: int = _SIDE, progress: Progress = silent) -> tuple[Run, ...]:
    """The 20 runs from ``all_runs.zip``, from the folder that it unpacks to, or from a folder that holds either.

    size: side in pixels, at most 105. Way k of a run is its ``training/classKK.png``. Raises `TurncoatError` for a run that is
    missing or whose label file does not pair its queries with its ways.
    """
    whole = _read(path, size, progress)
    runs = [slice(first, first + _WAYS) for first in range(0, _RUNS * _WAYS, _WAYS)]
    return tuple(Run(whole.train.images[at], whole.test.images[at], whole.test.labels[at] - at.start) for at in runs)


def _read(path: Path, size: int, progress: Progress) -> Splits:
    """All runs as one: the support images to train, the queries to test on, a class each way of each run."""
    place = path if (path / "run01").is_dir() else locate(path, [], [_ARCHIVE, _FOLDER]) if path.is_dir() else path
    listing, files = _unpacked(place) if place.is_dir() else _packed(place)

    def pictures() -> Pictures:
        found = files()
        runs = [_run(f"run{number:02d}", found, place) for number in range(1, _RUNS + 1)]
        classes = tuple(picture.name.rpartition("/training/") for support, _ in runs for picture in support)
        names = tuple(f"{Path(run).name}/{Path(way).stem}" for run, _, way in classes)
        train, test = (
            [p._replace(label=p.label + _WAYS * i) for i, run in enumerate(runs) for p in run[side]] for side in (0, 1)
        )
        return Pictures(names, train, test)

    size_ = None if size == _SIDE else (size, size)
    whole = decode_pictures(
        pictures, size=size_, grey=True, listing=listing, settings={"lake-runs": 1}, area=True, progress=progress
    )
    if whole.train.shape != (1, size, size):
        raise TurncoatError(f"{shown(place)}: expected drawings of 105x105 pixels, got {whole.train.shape[1:]}")
    return whole


def _packed(path: Path) -> tuple[Listing, Callable[[], dict[str, Read]]]:
    listing = Listing.of(path.parent, [list_file(path)])

    def files() -> dict[str, Read]:
        found: dict[str, Read] = {}
        for name, data in read_members(path, lambda name: _MEMBER.search(name) is not None):
            key = _key(name)
            if key in found:
                raise TurncoatError(f"{shown(path)}: expected each file of a run once, got {key} twice")
            found[key] = lambda data=data: data
        return found

    return listing, files


def _unpacked(root: Path) -> tuple[Listing, Callable[[], dict[str, Read]]]:
    paths = sorted(path for path in root.glob("run[0-9][0-9]/**/*") if _MEMBER.search(path.as_posix()) and path.is_file())
    listed = [list_file(path)._replace(name=path.relative_to(root).as_posix()) for path in paths]

    def reader(file: ListedFile) -> Read:
        return from_file(file, 0).read

    return Listing.of(root, listed), lambda: {_key(file.path): reader(file) for file in listed}


def _key(name: str) -> str:
    found = _MEMBER.search(name.replace("\\", "/"))
    assert found is not None
    return found[1]


def _run(run: str, files: Mapping[str, Read], place: Path) -> tuple[list[Picture], list[Picture]]:
    """Support images and queries of a run, labelled by way."""
    ways = sorted(name for name in files if name.startswith(f"{run}/training/"))
    queries = sorted(name for name in files if name.startswith(f"{run}/test/"))
    table = f"{run}/{_LABELS}"
    if len(ways) != _WAYS or len(queries) != _WAYS or table not in files:
        there = "its" if table in files else "no"
        raise TurncoatError(
            f"{shown(place)}: expected {run} with {_WAYS} ways, {_WAYS} queries and {_LABELS}, "
            f"got {len(ways)} ways, {len(queries)} queries and {there} {_LABELS}"
        )
    answers = _answers(files[table](), f"{place}/{table}")
    if sorted(answers) != queries or sorted(answers.values()) != ways:
        wrong = sorted({*answers, *answers.values()} ^ {*queries, *ways}) or ["a way twice"]
        raise TurncoatError(
            f"{shown(place)}/{table}: expected each query once, with a way of its own, of those in {run}; see {shown(wrong[0])}"
        )
    support = [Picture(f"{place}/{name}", files[name], label) for label, name in enumerate(ways)]
    return support, [Picture(f"{place}/{name}", files[name], ways.index(answers[name])) for name in queries]


def _answers(table: bytes, origin: str) -> dict[str, str]:
    """Path of the way's image by path of the query's."""
    found: dict[str, str] = {}
    for number, line in enumerate(table[:_LONGEST].decode("utf-8", "replace").splitlines(), 1):
        fields = line.split()
        if len(fields) not in (0, 2) or (fields and fields[0] in found):
            raise TurncoatError(
                f"{shown(origin)}, line {number}: expected a query's path, a space and its way's, each query once, "
                f"got '{shown(line[:80])}'"
            )
        found |= {fields[0]: fields[1]} if fields else {}
    return found
