"""Networks that bf16 does not suit are examined in fp32; those that fail anywhere are told in a line."""

from __future__ import annotations

import pytest
import torch
from planted_columns import CLASSES, SHAPE, make_clean, make_network
from torch import Tensor, nn

from turncoat.audit.model import audit_model
from turncoat.audit.suited import suited
from turncoat.errors import TurncoatError
from turncoat.intake.model import Opened
from turncoat.train.placement import Placement

BF16, FP32 = (Placement(torch.device("cpu"), precision, 1) for precision in ("bf16", "fp32"))


class Collected(nn.Module):
    """Writes its answers into a tensor of fp32 by index, which does not take any other precision."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make_network(3)

    def forward(self, x: Tensor) -> Tensor:
        found = self.net(x) @ torch.eye(len(CLASSES))
        rows = torch.arange(len(x))
        return torch.zeros(len(x), len(CLASSES)).index_put((rows,), found)


class Fine(nn.Module):
    """Tells images apart by differences that bf16 rounds away."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        steps = (100 + self.head(x.mean((1, 2, 3))[:, None])).to(
            x.dtype if not torch.is_autocast_enabled("cpu") else torch.bfloat16
        )
        return torch.cat([(steps.float() * 40 + shift).sin() for shift in range(6)], 1)


@pytest.mark.parametrize(("network", "told"), [(Collected(), "in bf16 it fails"), (Fine(), "of images the same")])
def test_what_bf16_does_not_suit_is_examined_in_fp32(network: nn.Module, told: str) -> None:
    network.eval()
    found, note = suited(network, SHAPE, make_clean(), BF16)
    assert found == FP32 and told in note and "\n" not in note
    assert suited(network, SHAPE, None, FP32) == (FP32, "")


def test_others_stay_as_they_are() -> None:
    assert suited(make_network(2), SHAPE, make_clean(), BF16) == (BF16, "")
    assert suited(make_network(2), SHAPE, None, BF16) == (BF16, "")


def test_the_backdoor_is_found_in_fp32() -> None:
    model = Opened(Collected().eval(), SHAPE, CLASSES, True, "a test's")
    found = audit_model(model, make_clean(), methods=["neural-cleanse"], placement=BF16)
    assert found.verdict.target == 3 and any("fp32" in note for note in found.notes) and not found.refused


def test_a_network_that_fails_is_told_in_a_line() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("Expected all tensors to be on the same device\nsomewhere")

    with pytest.raises(TurncoatError, match=r"fails on cpu: RuntimeError: Expected all tensors to be on the same device$"):
        suited(Broken(), SHAPE, None, BF16)
