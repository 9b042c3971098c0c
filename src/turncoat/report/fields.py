"""The types that records are made of: bounded, finite and showable, since the file may come from someone else."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def showable(text: str) -> str:
    """The text without what no page may hold or what would reorder it: control, direction and surrogate characters."""
    return _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", text)


Text = Annotated[str, Field(max_length=10_000), AfterValidator(showable)]
Number = Annotated[float, Field(allow_inf_nan=True)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

RECORD = ConfigDict(frozen=True, extra="ignore", strict=True)
"""Of all records. Unknown fields are left out, so that a later version may add some."""
