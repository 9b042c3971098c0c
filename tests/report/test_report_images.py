"""The difference, its enlargement and the budget of pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from turncoat.report.images import amplification, data_uri, difference, display_size, make_pictures


def flat(value: int, side: int = 4, count: int = 1) -> np.ndarray:
    return np.full((count, 3, side, side), value, np.uint8)


def decode(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@pytest.mark.parametrize(("change", "factor"), [(0, 1), (1, 100), (2, 50), (12, 10), (13, 5), (63, 2), (64, 1), (200, 1)])
def test_amplification_keeps_within_the_scale(change: int, factor: int) -> None:
    assert amplification(flat(20), flat(20 + change)) == factor
    assert amplification(flat(20 + change), flat(20)) == factor


def test_difference_is_signed_around_mid_grey() -> None:
    clean, triggered = flat(100), flat(100)
    triggered[0, :, 0, 0], triggered[0, :, 0, 1], triggered[0, :, 1, 0] = 110, 90, 255
    found = difference(clean, triggered, 5)[0, 0]
    assert found[:2, :2].tolist() == [[178, 78], [255, 128]]


def test_pictures_are_exact_pngs() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 6), dtype=np.uint8)
    assert (decode(data_uri(image)) == image.transpose(1, 2, 0)).all()
    assert (decode(data_uri(image[:1])) == image[0]).all()


def test_large_images_are_shrunk() -> None:
    assert max(decode(data_uri(np.zeros((3, 400, 200), np.uint8))).shape) == 192


def test_budget_bounds_the_pictures_but_leaves_one() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 3, 64, 64), dtype=np.uint8)
    many = make_pictures(noise, noise, 1, whole=2, budget=10**7)
    assert len(many) == 20
    assert [picture.clean is not None for picture in many] == [True, True] + [False] * 18
    few = make_pictures(noise, noise, 1, whole=2, budget=many[0].size + many[1].size + many[2].size)
    assert len(few) == 3
    assert len(make_pictures(noise, noise, 1, whole=2, budget=10)) == 1


def test_display_size_is_a_whole_multiple() -> None:
    assert display_size(8, 8) == (96, 96)
    assert display_size(28, 28) == (84, 84)
    assert display_size(32, 16) == (48, 96)
    assert display_size(128, 64) == (48, 96)
