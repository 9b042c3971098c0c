"""Image classification sets from the Hugging Face hub."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from turncoat.data.decoding import Picture, Pictures, decode_pictures
from turncoat.data.folder import Resize
from turncoat.data.imageset import Splits
from turncoat.data.source import Source
from turncoat.data.split import stratified_split
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress, silent


class Hub(Source):
    """An image classification set from the Hugging Face hub; needs the extra: `pip install "turncoat[hub]"`.

    Images are decoded by the same rules as a folder's. No code of the data set's repository is run.
    """

    name: Literal["hub"] = "hub"
    shorthand: ClassVar[str | None] = "dataset"

    dataset: str = Field(description="its name on the hub, e.g. uoft-cs/cifar10")
    config: str | None = Field(default=None, description="its configuration, where it has several")
    revision: str | None = Field(default=None, description="branch, tag or commit; a commit makes trials repeatable")
    train: str = Field(default="train", description="name of the split to train on")
    test: str | None = Field(default="test", description="name of the split to test on; none: split the training images")
    image_column: str | None = Field(default=None, description="the image column; left out: the only one")
    label_column: str | None = Field(default=None, description="the class column; left out: the only one")
    size: Resize | None = Field(default=None, description="resize to this side, or [height, width]; aspect ratio is not kept")
    grey: bool | None = Field(default=None, description="one channel (true) or three (false); left out: as the images are")
    test_share: float = Field(default=0.2, gt=0, lt=1, description="where there is no test split, stratified")
    split_seed: int = Field(default=0, ge=0, lt=2**32)

    def load(self, progress: Progress = silent) -> Splits:
        try:
            library: Any = importlib.import_module("datasets")
        except ImportError:
            raise TurncoatError(
                'hub: expected the package datasets, which is not installed; pip install "turncoat[hub]"'
            ) from None
        try:
            found: Mapping[str, Any] = library.load_dataset(self.dataset, self.config, revision=self.revision)
        except Exception as error:
            reason = " ".join(shown(str(error).replace("\n", " ")).split())[:300]
            raise TurncoatError(f"hub:{self.dataset}: could not be loaded ({type(error).__name__}: {reason})") from error

        def pictures() -> Pictures:
            return self._pictures(found, library)

        settings = {"hub": [self.train, self.test, self.test_share, self.split_seed]}
        return decode_pictures(pictures, size=self.size, grey=self.grey, listing=None, settings=settings, progress=progress)

    def _pictures(self, found: Mapping[str, Any], library: Any) -> Pictures:
        for split in filter(None, (self.train, self.test)):
            if split not in found:
                hint = "; give test=null to split the training images" if split == self.test else ""
                raise TurncoatError(f"hub:{self.dataset}: expected a split '{split}', got {', '.join(found)}{hint}")
        features: Mapping[str, Any] = found[self.train].features
        image = self._column(features, self.image_column, library.Image, "image_column")
        label = self._column(features, self.label_column, library.ClassLabel, "label_column")
        classes = tuple(str(name) for name in features[label].names)
        train = self._split(found[self.train], self.train, image, label, library)
        if self.test is not None:
            return Pictures(classes, train, self._split(found[self.test], self.test, image, label, library))
        index = stratified_split([p.label for p in train], classes, self.test_share, self.split_seed, f"hub:{self.dataset}")
        return Pictures(classes, [train[i] for i in index[0]], [train[i] for i in index[1]])

    def _column(self, features: Mapping[str, Any], given: str | None, kind: type, setting: str) -> str:
        fitting = [name for name, feature in features.items() if isinstance(feature, kind)]
        if given is not None and given in fitting:
            return given
        if given is None and len(fitting) == 1:
            return fitting[0]
        there = f"one of {', '.join(fitting)}" if fitting else f"a column of {kind.__name__} in the data set"
        raise TurncoatError(f"hub:{self.dataset}: {setting}: expected {there}, got {given or 'none chosen'}")

    def _split(self, rows: Any, split: str, image: str, label: str, library: Any) -> list[Picture]:
        encoded = rows.cast_column(image, library.Image(decode=False))
        labels: list[int] = list(encoded[label])
        if labels and min(labels) < 0:
            raise TurncoatError(f"hub:{self.dataset}: expected a class for every image of '{split}', got images without")
        return [_picture(f"hub:{self.dataset}, {split} {i}", encoded, i, image, labels[i]) for i in range(len(labels))]


def _picture(name: str, rows: Any, index: int, column: str, label: int) -> Picture:
    def read() -> bytes:
        cell: Mapping[str, Any] = rows[index][column]
        return bytes(cell["bytes"]) if cell.get("bytes") else Path(cell["path"]).read_bytes()

    return Picture(name, read, label)
