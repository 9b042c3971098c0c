"""Label doubt: how likely a label is wrong."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from turncoat.detect.data.base import DataDetector, LooksFor, Rests
from turncoat.detect.data.evidence import Evidence


class LabelDoubt(DataDetector):
    """The chance that the label is wrong; unlike confident-learning it asks how often each class's label is given falsely."""

    paper: ClassVar[str] = "ours: a temperature and rates of false labels by maximum likelihood, then Bayes' rule"
    looks_for: ClassVar[LooksFor] = "labels"
    rests_on: ClassVar[Rests] = "labels"
    convicts: ClassVar[bool] = True
    says: ClassVar[str] = "a network that never saw it gives it another label"

    name: Literal["label-doubt"] = "label-doubt"

    def scores(self, evidence: Evidence) -> Tensor:
        return evidence.doubt
