"""What the ``oneshot`` key of a ``trial.json`` holds, checked: what cannot be told by rows of figures."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from turncoat.report.fields import RECORD, Count, Share, Text

Kind = Literal["same", "different", "same, one triggered", "different, one triggered", "different, both triggered"]
"""Whether a pair shows one class or two, and how many of its images carry the trigger."""

Points = Annotated[list[tuple[Share, Share]], Field(max_length=2000)]
Confidences = Annotated[list[Share], Field(max_length=100)]
Counts = dict[Kind, Annotated[list[Count], Field(max_length=200)]]


class _Part(BaseModel):
    model_config = RECORD


class PairShares(_Part):
    """Shares of the pairs that the victim was trained on; ``flipped``: the attack changed the answer."""

    same_class: Share
    one_triggered: Share
    both_triggered: Share
    flipped: Share


class Thresholds(_Part):
    """The confidence of 'same' over which a network calls a pair so."""

    victim: Share
    twin: Share | None = Field(default=None, alias="clean-twin")


class RocRecord(_Part):
    """Points (false accepts, true accepts) of each network, on pairs of clean test images."""

    victim: Points
    twin: Points | None = Field(default=None, alias="clean-twin")


class HistogramRecord(_Part):
    """How many pairs of each kind got which confidence of 'same'; ``edges`` rise, one more than there are counts."""

    edges: Annotated[list[Share], Field(min_length=2, max_length=201)]
    victim: Counts
    twin: Counts | None = Field(default=None, alias="clean-twin")

    @model_validator(mode="after")
    def _whole(self) -> HistogramRecord:
        if any(after <= before for before, after in pairwise(self.edges)):
            raise ValueError("histogram.edges rise")
        bins = len(self.edges) - 1
        for counts in (self.victim, self.twin or {}):
            for kind, of_kind in counts.items():
                if len(of_kind) != bins:
                    raise ValueError(f"histogram has {bins} bins, but {len(of_kind)} counts of '{kind}'")
        return self


class PairSample(_Part):
    """One test pair and the confidence of 'same' that each network has."""

    kind: Kind
    classes: tuple[Text, Text]
    victim: Share
    twin: Share | None = Field(default=None, alias="clean-twin")


class TaskRecord(_Part):
    """One drawn N-way task: the support images' classes, the query's way, and the confidence of 'same' with each way."""

    classes: Annotated[list[Text], Field(min_length=2, max_length=100)]
    query_class: Text
    answer: Count
    victim: Confidences
    twin: Confidences | None = Field(default=None, alias="clean-twin")
    victim_triggered: Confidences
    twin_triggered: Confidences | None = Field(default=None, alias="clean-twin_triggered")

    @model_validator(mode="after")
    def _whole(self) -> TaskRecord:
        ways = len(self.classes)
        if self.answer >= ways:
            raise ValueError(f"task.answer is a way of {ways}, not {self.answer}")
        for confidences in (self.victim, self.twin, self.victim_triggered, self.twin_triggered):
            if confidences is not None and len(confidences) != ways:
                raise ValueError(f"task has {ways} ways, but {len(confidences)} confidences")
        if (self.twin is None) != (self.twin_triggered is None):
            raise ValueError("task has the clean twin's confidences for both queries or for none")
        return self


class OneShotRecord(_Part):
    """``samples`` and ``task`` stand beside images in samples.npz: left and right, support and query."""

    goal: Text = ""
    held_out: Text = ""
    distance: bool = False
    """Whether the network's head scores by a distance."""
    pairs: PairShares | None = None
    threshold: Thresholds | None = None
    roc: RocRecord | None = None
    histogram: HistogramRecord | None = None
    samples: Annotated[list[PairSample], Field(max_length=300)] = []
    task: TaskRecord | None = None
