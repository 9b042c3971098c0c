"""Omniglot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from turncoat.data.archive import read_members
from turncoat.data.classtree import scan_classes
from turncoat.data.decoding import Picture, Pictures, decode_pictures, from_file
from turncoat.data.download import RemoteFile
from turncoat.data.downloaded import Downloaded, locate
from turncoat.data.flowers import in_memory, is_image
from turncoat.data.imageset import Splits
from turncoat.data.lake_runs import LakeRuns, read_runs
from turncoat.data.listing import Listing, list_file
from turncoat.data.oneshot import ClassSplit, OneShotData, Run, group_of, split_background, split_drawers
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress, silent

_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
_FOLDERS = ("omniglot-py", "python")
_SIDE = 105
_DRAWERS = 20
_HELD = 4


class _Part(NamedTuple):
    name: str
    characters: int
    alphabets: int


_PARTS = (_Part("images_background", 964, 30), _Part("images_evaluation", 659, 20))


class Omniglot(Downloaded):
    """Handwritten characters of 50 alphabets, 105x105 black on white, 964 + 659 characters by 20 drawers each.

    Lake, Salakhutdinov and Tenenbaum, Human-level concept learning through probabilistic program induction (Science 350, 2015).
    One-shot: trained on the 30 background alphabets, tested on the 20 evaluation alphabets and, where they are there, on
    Lake's runs. As ordinary classification: the 964 background characters, tested on the last four drawers of each.
    A local copy is checked by its counts.
    """

    name: Literal["omniglot"] = "omniglot"
    # MD5, because no other sums of these two files are published
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile("images_background.zip", (f"{_URL}images_background.zip",), "md5:68d2efa1b9178cc56df9314c21c6e718", 9_464_212),
        RemoteFile("images_evaluation.zip", (f"{_URL}images_evaluation.zip",), "md5:6b91aef0f799c5bb55b94e3f2daec811", 6_462_886),
    )

    size: int = Field(default=_SIDE, ge=1, le=_SIDE, description="side in pixels; smaller ones are resized by area")

    def read(self, root: Path, progress: Progress) -> Splits:
        return split_drawers(_read(root, self.size, progress).train, _HELD)

    def one_shot(self, split: ClassSplit, progress: Progress = silent) -> OneShotData:
        root = self.root(progress)
        return split_background(_read(root, self.size, progress), split, self.name, _runs(root, self.size, progress))


def _read(root: Path, size: int, progress: Progress) -> Splits:
    """Background drawings to train, evaluation drawings to test on; the classes of both, the background's first."""
    home = _home(root)
    places = [locate(home, _FOLDERS, [f"{part.name}.zip", part.name]) for part in _PARTS]
    listings, readers = zip(*(_unpacked(place) if place.is_dir() else _packed(place) for place in places), strict=True)

    def pictures() -> Pictures:
        found = [read() for read in readers]
        for part, place, drawings in zip(_PARTS, places, found, strict=True):
            _check(part, place, drawings)
        for name in set(found[0]) & set(found[1]):
            raise TurncoatError(f"{shown(home)}: expected other characters to test on, got '{shown(name)}' in both parts")
        classes = [*found[0], *found[1]]
        numbers = {name: number for number, name in enumerate(classes)}
        train, test = ([p._replace(label=numbers[name]) for name in part for p in part[name]] for part in found)
        return Pictures(tuple(classes), train, test)

    resized = None if size == _SIDE else (size, size)
    whole = decode_pictures(
        pictures,
        size=resized,
        grey=True,
        listing=Listing.join(listings),
        settings={"omniglot": 1},
        area=True,
        progress=progress,
    )
    if whole.train.shape != (1, size, size):
        raise TurncoatError(f"{shown(home)}: expected drawings of {_SIDE}x{_SIDE} pixels, got {whole.train.shape[1:]}")
    return whole


def _home(root: Path) -> Path:
    """The folder that holds both parts, where one of them was named."""
    parts = {part.name for part in _PARTS}
    return root.parent if root.is_file() or (root.name in parts and root.is_dir()) else root


def _runs(root: Path, size: int, progress: Progress) -> tuple[Run, ...]:
    """Lake's runs, from beside the local copy or from where they were downloaded; none where they are not there."""
    home = _home(root)
    beside = [home / folder / name for folder in ("", *_FOLDERS) for name in ("all_runs.zip", "all_runs")]
    places = [place for place in beside if place.exists()] + ([LakeRuns.home()] if LakeRuns.is_here() else [])
    return read_runs(places[0], size, progress) if places else ()


Drawings = dict[str, Sequence[Picture]]
"""The drawings of each character, 'Alphabet/character01'; both sorted by name."""


def _packed(path: Path) -> tuple[Listing, Callable[[], Drawings]]:
    def read() -> Drawings:
        found: defaultdict[str, list[Picture]] = defaultdict(list)
        for name, data in read_members(path, is_image):
            folders = PurePosixPath(name).parts[-3:-1]
            if len(folders) < 2 or not name.isprintable():
                raise TurncoatError(f"{shown(path)}: expected drawings in ALPHABET/CHARACTER/, got '{shown(name)}'")
            found["/".join(folders)].append(in_memory(f"{path.name}/{name}", data, 0))
        return {name: sorted(found[name], key=lambda picture: picture.name) for name in sorted(found)}

    return Listing.of(path.parent, [list_file(path)]), read


def _unpacked(root: Path) -> tuple[Listing, Callable[[], Drawings]]:
    tree = scan_classes(root, depth=2)

    def read() -> Drawings:
        return {name: [from_file(file, 0) for file in files] for name, files in zip(tree.classes, tree.files, strict=True)}

    return tree.listing, read


def _check(part: _Part, place: Path, drawings: Mapping[str, Sequence[Picture]]) -> None:
    counts = {len(drawings[name]) for name in drawings} or {0}
    alphabets = len({group_of(name) for name in drawings})
    if (len(drawings), alphabets, counts) != (part.characters, part.alphabets, {_DRAWERS}):
        each = str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
        raise TurncoatError(
            f"{shown(place)}: expected {part.characters} characters of {part.alphabets} alphabets, {_DRAWERS} drawings each; "
            f"counted {len(drawings)} characters of {alphabets} alphabets, {each} drawings each"
        )
