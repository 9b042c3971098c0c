"""TensorFlow's flower photographs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from pydantic import Field

from turncoat.data.archive import read_members
from turncoat.data.decoding import Picture, Pictures, decode_pictures
from turncoat.data.download import RemoteFile
from turncoat.data.downloaded import Downloaded
from turncoat.data.folder import Resize, load_folder
from turncoat.data.imageset import Splits
from turncoat.data.listing import Listing, list_file
from turncoat.data.picture import EXTENSIONS
from turncoat.data.split import stratified_split
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress

_ARCHIVE = "flower_photos.tgz"


class Flowers(Downloaded):
    """Photographs of five kinds of flowers, RGB of many sizes, 3,670 in one tree that is split here.

    The TensorFlow Team, Flowers (2019); Creative Commons, see LICENSE.txt in the archive.
    """

    name: Literal["flowers"] = "flowers"
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(
            _ARCHIVE,
            (
                "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
                "http://download.tensorflow.org/example_images/flower_photos.tgz",
            ),
            "sha256:4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
            228_813_984,
        ),
    )

    size: Resize = Field(default=(128, 128), description="resize to this side, or [height, width]; aspect ratio is not kept")
    test_share: float = Field(default=0.2, gt=0, lt=1, description="stratified")
    split_seed: int = Field(default=0, ge=0, lt=2**32)

    def read(self, root: Path, progress: Progress) -> Splits:
        archive = root if root.is_file() else root / _ARCHIVE
        if not archive.is_file():
            inner = root / "flower_photos"
            return load_folder(
                inner if inner.is_dir() else root,
                size=self.size,
                test_share=self.test_share,
                split_seed=self.split_seed,
                progress=progress,
            )

        def pictures() -> Pictures:
            found = class_members(archive)
            classes = tuple(found)
            every = [in_memory(name, data, label) for label, name_ in enumerate(classes) for name, data in found[name_]]
            labels = [picture.label for picture in every]
            train, test = stratified_split(labels, classes, self.test_share, self.split_seed, str(archive))
            return Pictures(classes, [every[i] for i in train], [every[i] for i in test])

        return decode_pictures(
            pictures,
            size=self.size,
            grey=None,
            listing=Listing.of(archive.parent, [list_file(archive)]),
            settings={"test_share": self.test_share, "split_seed": self.split_seed},
            progress=progress,
        )


def class_members(archive: Path) -> dict[str, list[tuple[str, bytes]]]:
    """The images of an archive by the folder that each lies in, both sorted by name."""
    found: defaultdict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for name, data in read_members(archive, is_image):
        found[PurePosixPath(name).parent.name].append((f"{archive.name}/{name}", data))
    if len(found) < 2:
        raise TurncoatError(f"{shown(archive)}: expected images in at least two class folders, got {len(found)}")
    return {name: sorted(found[name], key=lambda member: member[0]) for name in sorted(found)}


def is_image(name: str) -> bool:
    """Whether an archive's member is to be read as an image."""
    path = PurePosixPath(name)
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def in_memory(name: str, data: bytes, label: int) -> Picture:
    """An archive's member as a picture."""
    read: Callable[[], bytes] = lambda: data  # noqa: E731
    return Picture(name, read, label)
