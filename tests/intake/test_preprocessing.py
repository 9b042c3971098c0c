"""Wrong preprocessing, another order of classes and chance are told apart, and a right model is left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from turncoat.data.imageset import ImageSet
from turncoat.intake.preprocessing import COMMON, Preprocessing, Reversed, check_preprocessing
from turncoat.train.placement import Placement

PLACEMENT = Placement(torch.device("cpu"), "fp32", 1)
CLASSES = ("red", "green", "blue", "grey")


def colours(count: int = 400, channels: int = 3) -> ImageSet:
    """Each class has a mean colour of its own, close to the others', so that a shift or a factor confuses them."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 4
    means = torch.tensor([[0.60, 0.45, 0.40], [0.45, 0.60, 0.45], [0.40, 0.45, 0.60], [0.48, 0.48, 0.48]])[labels]
    noise = 0.02 * torch.randn(count, channels, 8, 8, generator=draw)
    pixels = (means[:, :channels, None, None] + noise).clamp(0, 1)
    return ImageSet((pixels * 255).round().byte(), labels, CLASSES)


class Nearest(nn.Module):
    """Right on pixels prepared by ``wanted``: the nearest of the classes' prepared means."""

    means: Tensor

    def __init__(self, data: ImageSet, wanted: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        x = wanted(data.images.float() / 255)
        found = torch.stack([x[data.labels == label].mean((0, 2, 3)) for label in range(4)])
        self.register_buffer("means", found)
        self.scale = float(found.std())

    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(x.mean((2, 3)) / self.scale, self.means / self.scale)


def identity(x: Tensor) -> Tensor:
    return x


def wants(preprocessing: Preprocessing, data: ImageSet) -> nn.Module:
    return Nearest(data, preprocessing.around(nn.Identity(), 3)).eval()


@pytest.mark.parametrize("name", [name for name in COMMON if name != "MNIST's"])
def test_a_right_model_is_left_alone(name: str) -> None:
    data = colours()
    bare = wants(COMMON[name], data)
    check = check_preprocessing(COMMON[name].around(bare, 3), data, PLACEMENT, bare)
    assert check.accuracy > 0.99 and check.right == round(check.accuracy * 400) and check.n == 400 and check.warning == ""


@pytest.mark.parametrize(
    ("name", "option"), [("0 to 255", "--input-range 0,255"), ("ImageNet's", "--mean 0.485,0.456,0.406 --std 0.229")]
)
def test_what_was_left_out_is_named(name: str, option: str) -> None:
    data = colours()
    bare = wants(COMMON[name], data)
    check = check_preprocessing(bare, data, PLACEMENT, bare)
    assert check.accuracy < 0.8
    assert "right as given, 100% with" in check.warning and option in check.warning


def test_what_was_given_too_much_is_named() -> None:
    data = colours()
    bare = Nearest(data, identity).eval()
    check = check_preprocessing(COMMON["0 to 255"].around(bare, 3), data, PLACEMENT, bare)
    assert "100% with no --mean, --std, --input-range" in check.warning


def test_bgr_is_named() -> None:
    data = colours()
    bare = Nearest(data, lambda x: x.flip(1)).eval()
    assert "BGR" in check_preprocessing(bare, data, PLACEMENT, bare).warning
    assert check_preprocessing(Reversed(bare), data, PLACEMENT, Reversed(bare)).warning == ""


def test_another_order_of_classes_is_named() -> None:
    data = colours()
    renamed = data.with_labels(torch.tensor([2, 0, 3, 1])[data.labels])
    check = check_preprocessing(Nearest(data, identity).eval(), renamed, PLACEMENT)
    assert check.accuracy == 0 and "order of classes looks wrong" in check.warning and "100% if they are matched" in check.warning
    assert "its class 1 is 'red'" in check.warning


def test_chance_is_named() -> None:
    data = colours()
    shuffled = data.with_labels(torch.randint(4, (400,), generator=torch.Generator().manual_seed(3)))
    bare = Nearest(data, identity).eval()
    assert "near chance (25%)" in check_preprocessing(bare, shuffled, PLACEMENT, bare).warning


def test_a_poor_but_honest_model_is_not_accused() -> None:
    data = colours()
    noisy = data.with_labels(torch.where(torch.rand(400, generator=torch.Generator().manual_seed(1)) < 0.4, 0, data.labels))
    bare = Nearest(data, identity).eval()
    check = check_preprocessing(bare, noisy, PLACEMENT, bare)
    assert 0.6 < check.accuracy < 0.8 and check.warning == ""


def test_nothing_else_is_tried_on_a_trial() -> None:
    """Its standardisation is inside; no bare network is given."""
    data = colours()
    assert "preprocessing" not in check_preprocessing(wants(COMMON["0 to 255"], data), data, PLACEMENT).warning


def test_grey_images_are_tried_with_what_fits_them() -> None:
    data = ImageSet(colours().images[:, :1], colours().labels, CLASSES)
    labels = (data.images.float().mean((1, 2, 3)) > 120).long()
    grey = ImageSet(data.images, labels, ("a", "b"))

    class Bright(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            value = x.mean((1, 2, 3)) - 120
            return torch.stack([-value, value], 1)

    bare = Bright().eval()
    assert "--input-range 0,255" in check_preprocessing(bare, grey, PLACEMENT, bare).warning


def test_same_images_same_answer_in_any_order() -> None:
    data = colours()
    bare = wants(COMMON["0 to 255"], data)
    first = check_preprocessing(bare, data, PLACEMENT, bare)
    assert first == check_preprocessing(bare, data, PLACEMENT, bare)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(4))
    assert check_preprocessing(bare, data.subset(order), PLACEMENT, bare).right == first.right


def test_another_size_is_named() -> None:
    """It looks at row 10, where images of 64 rows have the next class's colour and those of 32 their own."""
    labels = torch.arange(300) % 3
    rows = torch.where(torch.arange(64) // 16 == 1, labels[:, None], (labels[:, None] + 1) % 3)
    colour = nn.functional.one_hot(rows, 3).movedim(2, 1)[..., None] * 200
    data = ImageSet(colour.byte().expand(-1, 3, 64, 64).contiguous(), labels, ("red", "green", "blue"))

    class RowTen(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, 10].mean(2)

    check = check_preprocessing(RowTen().eval(), data, PLACEMENT, RowTen().eval())
    assert "the size of images looks wrong: 0% right at 64x64, 100% at 32x32; give --shape 3,32,32" in check.warning


def test_a_network_of_one_size_is_left_at_it() -> None:
    data = colours()

    class Fixed(Nearest):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.view(-1, 3, 8, 8))

    noisy = data.with_labels(torch.where(torch.rand(400, generator=torch.Generator().manual_seed(1)) < 0.4, 0, data.labels))
    bare = Fixed(data, identity).eval()
    assert check_preprocessing(bare, noisy, PLACEMENT, bare).warning == ""


def test_few_images_are_enough_where_the_same_ones_become_right() -> None:
    data = colours(48)
    bare = wants(COMMON["ImageNet's"], colours())
    check = check_preprocessing(bare, data, PLACEMENT, bare)
    assert "ImageNet's" in check.warning and check.n == 48


@pytest.mark.parametrize(("share", "told"), [(0.8, ""), (0.5, "near chance (50%)")])
def test_of_two_classes_four_in_five_are_not_chance(share: float, told: str) -> None:
    data = ImageSet(colours().images, torch.arange(400) % 2, ("even", "odd"))
    labels = torch.where(torch.arange(400) < share * 400, data.labels, 1 - data.labels)

    class Known(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            at = [int((data.images == image).flatten(1).all(1).nonzero()[0]) for image in (x * 255).round().byte()]
            return nn.functional.one_hot(labels[at], 2).float()

    assert told in check_preprocessing(Known().eval(), data, PLACEMENT).warning or not told
    assert bool(check_preprocessing(Known().eval(), data, PLACEMENT).warning) == bool(told)
