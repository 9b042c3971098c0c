"""The German Traffic Sign Recognition Benchmark."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from pydantic import Field

from turncoat.data.archive import read_members
from turncoat.data.classtree import scan_classes
from turncoat.data.decoding import Picture, Pictures, decode_pictures, from_file
from turncoat.data.download import RemoteFile
from turncoat.data.downloaded import Downloaded, locate
from turncoat.data.flowers import in_memory, is_image
from turncoat.data.folder import Resize
from turncoat.data.imageset import Splits
from turncoat.data.listing import Listing, list_file
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress

_URL = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
_TRAIN, _TEST, _TRUTH = "GTSRB-Training_fixed.zip", "GTSRB_Final_Test_Images.zip", "GTSRB_Final_Test_GT.zip"
_CSV = "GT-final_test.csv"
_CLASSES = (
    *(f"speed limit {limit}" for limit in (20, 30, 50, 60, 70, 80)),
    *("end of speed limit 80", "speed limit 100", "speed limit 120", "no passing", "no passing for trucks"),
    *("right of way at crossing", "priority road", "yield", "stop", "no vehicles", "no trucks", "no entry", "caution"),
    *("curve left", "curve right", "double curve", "bumpy road", "slippery road", "road narrows", "road works"),
    *("traffic lights", "pedestrians", "children", "bicycles", "ice or snow", "wild animals", "end of limits"),
    *("turn right", "turn left", "straight ahead", "straight or right", "straight or left", "keep right", "keep left"),
    *("roundabout", "end of no passing", "end of no passing for trucks"),
)


class Gtsrb(Downloaded):
    """Photographs of 43 German traffic signs, RGB of many sizes, 26,640 + 12,630.

    Stallkamp, Schlipsing, Salmen and Igel, Man vs. computer (Neural Networks 32, 2012). The whole photograph is used, border
    included, as in most work on backdoors.
    """

    name: Literal["gtsrb"] = "gtsrb"
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(_TRAIN, (_URL + _TRAIN,), "md5:513f3c79a4c5141765e10e952eaa2478", 187_490_228),
        RemoteFile(_TEST, (_URL + _TEST,), "md5:c7e4e6327067d32654124b0fe9e82185", 88_978_620),
        RemoteFile(_TRUTH, (_URL + _TRUTH,), "md5:fe31e9c9270bbcd7b84b7f21a9d9d9e5", 99_620),
    )

    size: Resize = Field(default=(32, 32), description="resize to this side, or [height, width]; aspect ratio is not kept")

    def read(self, root: Path, progress: Progress) -> Splits:
        listing, pictures = _packed(root) if (root / _TRAIN).is_file() else _unpacked(root)
        return decode_pictures(pictures, size=self.size, grey=False, listing=listing, settings={}, progress=progress)


def _packed(root: Path) -> tuple[Listing, Callable[[], Pictures]]:
    """The three published archives."""
    paths = [root / name for name in (_TRAIN, _TEST, _TRUTH)]

    def pictures() -> Pictures:
        train: list[Picture] = []
        for name, data in sorted(read_members(paths[0], is_image)):
            train.append(in_memory(f"{_TRAIN}/{name}", data, _class(PurePosixPath(name).parent.name, name)))
        truth = dict(read_members(paths[2], lambda name: name.endswith(_CSV)))
        labels = _labels(next(iter(truth.values()), b""), paths[2])
        found = {PurePosixPath(name).name: data for name, data in read_members(paths[1], is_image)}
        missing = sorted(set(labels) ^ set(found))
        if missing:
            raise TurncoatError(
                f"{shown(paths[1])}: expected the images that {_CSV} lists, but {shown(missing[0])} is in one alone"
            )
        test = [in_memory(f"{_TEST}/{name}", found[name], label) for name, label in sorted(labels.items())]
        return Pictures(_CLASSES, train, test)

    return Listing.join(Listing.of(root, [list_file(path)]) for path in paths), pictures


def _unpacked(root: Path) -> tuple[Listing, Callable[[], Pictures]]:
    """The folders that the archives unpack to."""
    tree = scan_classes(locate(root, ["GTSRB", "gtsrb/GTSRB"], ["Training"]))
    folder = locate(root, ["GTSRB", "gtsrb/GTSRB"], ["Final_Test/Images"])
    truth = locate(root, ["GTSRB", "gtsrb", "GTSRB/Final_Test", "GTSRB/Final_Test/Images"], [_CSV])
    labels = _labels(truth.read_bytes(), truth)
    files = [list_file(folder / name) for name in sorted(labels)]

    def pictures() -> Pictures:
        train = [from_file(file, _class(tree.classes[label], file.path)) for file, label in tree.labelled]
        return Pictures(_CLASSES, train, [from_file(file, labels[file.name]) for file in files])

    return Listing.join([tree.listing, Listing.of(folder, files), Listing.of(truth.parent, [list_file(truth)])]), pictures


def _class(number: str, name: str) -> int:
    if not number.isdecimal() or int(number) >= len(_CLASSES):
        raise TurncoatError(f"{shown(name)}: expected a class 0 to {len(_CLASSES) - 1}, got '{shown(number)}'")
    return int(number)


def _labels(table: bytes, origin: Path) -> dict[str, int]:
    """Class of each test image by its file's name."""
    labels: dict[str, int] = {}
    rows = csv.DictReader(io.StringIO(table.decode("utf-8", "replace")), delimiter=";", skipinitialspace=True)
    for row in rows:
        name, number = row.get("Filename"), row.get("ClassId")
        if not name or not number or PurePosixPath(name).name != name:
            raise TurncoatError(
                f"{shown(origin)}: expected lines with Filename and ClassId, got line {rows.line_num} without them"
            )
        labels[name] = _class(number, f"{origin}, line {rows.line_num}")
    if not labels:
        raise TurncoatError(f"{shown(origin)}: expected {_CSV} with the classes of the test images, got none")
    return labels
