"""Fine-tuning: trained on with clean images, at the highest rate that the accuracy bears."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import nn

from turncoat.repair.base import Defender, Repaired
from turncoat.repair.tuning import TrainedOn


class FineTuning(TrainedOn):
    """Trains on with clean images. A high rate takes the weights away from what they were; the validation images bound it."""

    paper: ClassVar[str] = "Truong et al.: Systematic Evaluation of Backdoor Data Poisoning Attacks on Image Classifiers, 2020"

    name: Literal["fine-tuning"] = "fine-tuning"
    steps: int = Field(default=120, ge=1, description="of 128 images, or of as many as there are")

    def _repaired(self, network: nn.Module, defender: Defender) -> Repaired:
        return self.tuned(network, defender).told()
