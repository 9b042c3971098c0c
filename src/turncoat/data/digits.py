"""scikit-learn's handwritten digits."""

from __future__ import annotations

from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from turncoat.data.imageset import ImageSet, Splits
from turncoat.data.source import Source
from turncoat.data.split import stratified_split
from turncoat.progress import Progress, silent

_SEED = 20240101


class Digits(Source):
    """Real handwritten digits, 8x8 grey, 10 classes, 1,437 + 360; comes with scikit-learn.

    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998). The 17 grey levels become 0 to 255; the split is
    stratified and always the same.
    """

    name: Literal["digits"] = "digits"

    def load(self, progress: Progress = silent) -> Splits:
        from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second

        values, digits = cast(tuple[NDArray[np.float64], NDArray[np.int64]], load_digits(return_X_y=True))
        images = np.rint(values * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        labels = digits.astype(np.int64)
        classes = tuple(str(number) for number in range(10))
        train, test = stratified_split(labels, classes, 0.2, _SEED, self.name)
        progress("reading", len(labels), len(labels))
        return Splits(*(ImageSet(torch.from_numpy(images[i]), torch.from_numpy(labels[i]), classes) for i in (train, test)))
