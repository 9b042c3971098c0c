from typing import Any

import pytest
import torch
from pydantic import ValidationError

from turncoat.errors import TurncoatError
from turncoat.triggers import Overlay, Patch, paste, to_float, to_uint8
from turncoat.triggers.patch import locate


def changed(overlay: Overlay) -> set[tuple[int, int]]:
    return {(int(row), int(column)) for _, row, column in overlay.alpha.nonzero()}


def block(top: int, left: int, height: int, width: int) -> set[tuple[int, int]]:
    return {(row, column) for row in range(top, top + height) for column in range(left, left + width)}


def test_every_uint8_value_survives_the_way_to_float_and_back():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_uint8(to_float(levels)), levels)
    assert to_uint8(torch.tensor([-0.2, 0.4999 / 255, 0.5001 / 255, 1.7])).tolist() == [0, 0, 1, 255]


def test_default_is_the_3x3_checkerboard_of_badnets_one_pixel_from_the_bottom_right():
    shown = to_uint8(Patch().fit((1, 8, 8))(torch.full((2, 1, 8, 8), 100 / 255)))
    expected = torch.full((8, 8), 100, dtype=torch.uint8)
    expected[4:7, 4:7] = torch.tensor([[255, 0, 255], [0, 255, 0], [255, 0, 255]], dtype=torch.uint8)
    assert torch.equal(shown, expected.expand(2, 1, 8, 8))


def test_size_1_is_the_single_pixel_of_badnets():
    overlay = Patch(size=1).fit((3, 28, 28))
    assert changed(overlay) == {(26, 26)}
    assert overlay.picture[:, 26, 26].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"place": "top-left"}, block(1, 1, 3, 3)),
        ({"place": "top-right", "margin": 0}, block(0, 17, 3, 3)),
        ({"place": "bottom-left", "margin": 2}, block(5, 2, 3, 3)),
        ({"place": "center", "size": 4}, block(3, 8, 4, 4)),
        ({"place": [6, 4], "size": [2, 5]}, block(6, 4, 2, 5)),
        ({"place": [0, 0], "size": [10, 20]}, block(0, 0, 10, 20)),
        ({"size": 0.25}, block(7, 17, 2, 2)),  # a quarter of the shorter side, 10 pixels
        ({"size": 0.001}, block(8, 18, 1, 1)),
        ({"margin": 0}, block(7, 17, 3, 3)),
    ],
)
def test_place_and_size(settings: dict[str, Any], expected: set[tuple[int, int]]):
    assert changed(Patch.model_validate(settings).fit((3, 10, 20))) == expected


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"size": 8}, "attack.patch: 8x8 pixels at bottom-right with a margin of 1 do not fit into images of 8x8"),
        ({"size": 9, "place": "center"}, "attack.patch: 9x9 pixels at center do not fit into images of 8x8"),
        ({"place": [6, 2]}, "attack.patch: 3x3 pixels at row 6, column 2 do not fit into images of 8x8"),
        ({"place": [2, 99]}, "attack.patch: 3x3 pixels at row 2, column 99 do not fit into images of 8x8"),
        ({"margin": 6}, "attack.patch: 3x3 pixels at bottom-right with a margin of 6 do not fit into images of 8x8"),
        ({"size": [1, 9]}, "attack.patch: 1x9 pixels at bottom-right with a margin of 1 do not fit into images of 8x8"),
        ({"pattern": "solid:red"}, "the trigger's colour [255, 0, 0] cannot be shown on grey images; give a grey level 0 to 255"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(settings: dict[str, Any], line: str):
    with pytest.raises(TurncoatError) as caught:
        Patch.model_validate(settings).fit((1, 8, 8))
    assert str(caught.value) == line


@pytest.mark.parametrize("size", [0, -3, 1.0, 0.0, 1.5, -0.1, True, "3", [3], [3, 0], [1, 2, 3], [0.5, 0.5], None, {}])
def test_bad_sizes(size: object):
    with pytest.raises(ValidationError, match="expected pixels") as caught:
        Patch.model_validate({"size": size})
    assert caught.value.error_count() == 1


@pytest.mark.parametrize("place", ["middle", [1], [-1, 0], [1.5, 2], [True, 0], 3, None, [1, 2, 3], ["a", "b"], {}])
def test_bad_places(place: object):
    with pytest.raises(ValidationError, match=r"expected top-left, .* or \[row, column\]") as caught:
        Patch.model_validate({"place": place})
    assert caught.value.error_count() == 1


@pytest.mark.parametrize(
    "settings", [{"margin": -1}, {"opacity": 0}, {"opacity": 1.1}, {"colour": "red"}, {"pattern": "stripes"}]
)
def test_other_bad_settings(settings: dict[str, Any]):
    with pytest.raises(ValidationError) as caught:
        Patch.model_validate(settings)
    assert caught.value.error_count() == 1


def test_patch_survives_json():
    patch = Patch.model_validate({"size": [2, 3], "place": [1, 1], "pattern": {"name": "solid", "color": "#0a0b0c"}})
    assert Patch.model_validate_json(patch.model_dump_json()) == patch


def test_opacity_mixes_and_rounds():
    overlay = Patch.model_validate({"pattern": "solid:255", "opacity": 0.25, "place": [0, 0], "size": 1}).fit((1, 4, 4))
    shown = to_uint8(overlay(torch.full((1, 1, 4, 4), 100 / 255)))
    assert shown[0, 0, 0, 0] == round(0.75 * 100 + 0.25 * 255)
    assert (shown.flatten()[1:] == 100).all()


def test_paste_is_exact_at_both_ends_and_differentiable():
    x = torch.rand(4, 3, 5, 5, requires_grad=True)
    picture, alpha = torch.rand(3, 5, 5), torch.zeros(1, 5, 5)
    alpha[:, 2:4, 1:3] = 1
    shown = paste(x, picture, alpha)
    inside = alpha.expand_as(x) == 1
    assert torch.equal(shown[inside], picture.expand_as(x)[inside])
    assert torch.equal(shown[~inside], x[~inside])
    shown.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, (~inside).float())


def test_overlay_follows_the_precision_of_its_input():
    assert Patch().fit((1, 8, 8))(torch.rand(1, 1, 8, 8, dtype=torch.float64)).dtype == torch.float64


def test_locate_keeps_every_corner_inside():
    for place in ("top-left", "top-right", "bottom-left", "bottom-right", "center"):
        for size in range(1, 6):
            top, left = locate(place, (size, size), 1, (7, 9))
            assert 0 <= top <= 7 - size
            assert 0 <= left <= 9 - size
