"""Answers as people's networks give them become logits, and what cannot be audited is said before an audit begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from files_of_others import CLASSES, SHAPE, images, trained
from torch import Tensor, nn

from turncoat import TurncoatError
from turncoat.intake.answers import as_logits, check_auditable


class Two(NamedTuple):
    features: Tensor
    logits: Tensor


class Around(nn.Module):
    """The test's network, its answer changed by ``change``."""

    def __init__(self, change: Callable[[Tensor, Tensor], Any], classes: int = CLASSES) -> None:
        super().__init__()
        self.net, self.change = trained(classes), change

    def forward(self, x: Tensor) -> Any:
        return self.change(self.net(x), x)


READ: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "tensor": lambda y, _: y,
    "tuple, logits first": lambda y, x: (y, x.flatten(1)),
    "tuple, features first": lambda y, x: (x.flatten(1), y),
    "list with an auxiliary head": lambda y, _: [y, y * 0.3],
    "dictionary": lambda y, x: {"features": x.flatten(1), "logits": y},
    "dictionary, another key": lambda y, x: {"image": x, "cls": y, "loss": y.mean()},
    "named tuple": lambda y, x: Two(x.flatten(1), y),
    "1x1 head": lambda y, _: y[:, :, None, None],
    "half": lambda y, _: y.double(),
}


@pytest.mark.parametrize("how", READ)
def test_logits_are_found_in_any_answer(how: str) -> None:
    read = as_logits(Around(READ[how]).eval(), SHAPE)
    with torch.no_grad():
        assert torch.allclose(read.network(images()).float(), trained()(images()), atol=1e-5)
    assert read.classes == CLASSES and bool(read.notes) == (how not in ("tensor", "1x1 head", "half"))
    assert check_auditable(read.network, SHAPE) == []


def test_what_was_taken_is_said() -> None:
    (note,) = as_logits(Around(READ["dictionary"]).eval(), SHAPE).notes
    assert "'features' (N, 432), 'logits' (N, 4)): 'logits' is taken" in note


def test_probabilities_become_logits() -> None:
    read = as_logits(Around(lambda y, _: y.softmax(1)).eval(), SHAPE)
    with torch.no_grad():
        assert torch.allclose(read.network(images()), trained()(images()).log_softmax(1), atol=1e-4)
    assert "probabilities" in read.notes[0]


def test_logarithms_of_probabilities_are_logits_already() -> None:
    read = as_logits(Around(lambda y, _: y.log_softmax(1)).eval(), SHAPE)
    assert read.notes == () and isinstance(read.network, Around)


def test_a_sigmoid_a_class_is_taken_off() -> None:
    read = as_logits(Around(lambda y, _: y.sigmoid()).eval(), SHAPE)
    with torch.no_grad():
        assert torch.allclose(read.network(images()), trained()(images()), atol=1e-3)
    assert "a probability for each class" in read.notes[0]


@pytest.mark.parametrize("squash", [True, False])
def test_one_number_is_two_classes(squash: bool) -> None:
    read = as_logits(Around(lambda y, _: y.sigmoid() if squash else y, 1).eval(), SHAPE)
    with torch.no_grad():
        logits, plain = read.network(images()), trained(1)(images())
    assert read.classes == 2 and torch.equal(logits[:, 0], torch.zeros(len(plain)))
    assert torch.allclose(logits[:, 1:], plain, atol=1e-3) and len(read.notes) == 1 + squash


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_number_of_images(batch: int) -> None:
    class Fixed(Around):
        def forward(self, x: Tensor) -> Tensor:
            return self.net(x.reshape(batch, *SHAPE))

    read = as_logits(Fixed(READ["tensor"]).eval(), SHAPE, batch)
    with torch.no_grad():
        for count in (1, 2, 4):
            assert torch.allclose(read.network(images(count)), trained()(images(count)), atol=1e-5)
    assert f"takes {batch} image" in read.notes[0]


def test_images_are_not_changed() -> None:
    class InPlace(Around):
        def forward(self, x: Tensor) -> Tensor:
            return self.net(x.sub_(0.5))

    read = as_logits(InPlace(READ["tensor"]).eval(), SHAPE)
    x = images().requires_grad_()
    logits = read.network(x)
    assert torch.equal(x.detach(), images()) and torch.allclose(logits, trained()(images() - 0.5), atol=1e-5)
    logits.sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda y, _: y.argmax(1), r"expected logits \(2, classes\) of two images, got \(2,\)"),
        (lambda y, x: x, r"got \(2, 3, 12, 12\)"),
        (lambda y, _: "cat", "got a str without any"),
        (lambda y, _: {"label": y.argmax(1)}, "got a dict without any"),
        (lambda y, _: y / 0, "not finite"),
    ],
)
def test_what_is_no_answer(answer: Callable[[Tensor, Tensor], Any], told: str) -> None:
    with pytest.raises(TurncoatError, match=told):
        as_logits(Around(answer).eval(), SHAPE)


@pytest.mark.parametrize("how", ["detach", "no_grad", "input", "numpy"])
def test_without_gradients_there_is_no_audit(how: str) -> None:
    class Shut(Around):
        def forward(self, x: Tensor) -> Tensor:
            if how == "no_grad":
                with torch.no_grad():
                    return self.net(x)
            if how == "numpy":
                x = torch.from_numpy(x.detach().numpy())
            y = self.net(x.detach() if how == "input" else x)
            return y.detach() if how == "detach" else y

    with pytest.raises(TurncoatError, match="no gradient reaches the pixels: its forward detaches"):
        check_auditable(Shut(READ["tensor"]).eval(), SHAPE)


def test_rounded_pixels_are_told() -> None:
    assert "does its forward round" in check_auditable(Rounded().eval(), SHAPE)[0]


class Rounded(Around):
    """Steps, which have no slope."""

    def __init__(self) -> None:
        super().__init__(READ["tensor"])

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x * 255).round() / 255)


def test_answers_that_vary_are_told() -> None:
    def dropped(y: Tensor, _: Tensor) -> Tensor:
        return nn.functional.dropout(y, 0.5, training=True)

    def of_the_batch(y: Tensor, _: Tensor) -> Tensor:
        return y - y.mean(0)

    assert "differ from pass to pass" in check_auditable(Around(dropped).eval(), SHAPE)[0]
    assert "depend on the other images" in check_auditable(Around(of_the_batch).eval(), SHAPE)[0]
