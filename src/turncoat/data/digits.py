"""scikit-learn's handwritten digits."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from turncoat.data.imageset import ImageSet, Splits
from turncoat.data.source import Source
from turncoat.data.split import stratified_split
from turncoat.progress import Progress, silent

_SEED = 20240101


def _table() -> NDArray[np.float64]:
    """A row an image: 64 values 0 to 16, then the digit."""
    spec = find_spec("sklearn")
    file = Path(str(spec.origin)).parent / "datasets" / "data" / "digits.csv.gz" if spec else None
    if file is not None and file.is_file():  # importing scikit-learn takes seconds
        return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits  # noqa: PLC0415

    values, digits = cast(tuple[NDArray[np.float64], NDArray[np.float64]], load_digits(return_X_y=True))
    return np.column_stack([values, digits])


class Digits(Source):
    """Real handwritten digits, 8x8 grey, 10 classes, 1,437 + 360; comes with scikit-learn.

    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998). The 17 grey levels become 0 to 255; the split is
    stratified and always the same.
    """

    name: Literal["digits"] = "digits"

    def load(self, progress: Progress = silent) -> Splits:
        table = _table()
        images = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        labels = table[:, 64].astype(np.int64)
        classes = tuple(str(number) for number in range(10))
        train, test = stratified_split(labels, classes, 0.2, _SEED, self.name)
        progress("reading", len(labels), len(labels))
        return Splits(*(ImageSet(torch.from_numpy(images[i]), torch.from_numpy(labels[i]), classes) for i in (train, test)))
