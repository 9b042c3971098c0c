"""The types that records are made of: bounded, finite and showable, since the file may come from someone else."""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def showable(text: str) -> str:
    """The text without what no page may hold or what would reorder it: control, direction and surrogate characters."""
    return text if text.isprintable() else _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", text)


Text = Annotated[str, Field(max_length=10_000), AfterValidator(showable)]
Number = Annotated[float, Field(allow_inf_nan=True)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

RECORD = ConfigDict(frozen=True, extra="ignore", strict=True)
"""Of all records. Unknown fields are left out, so that a later version may add some."""

M = TypeVar("M", bound=BaseModel)
_NO_FIELDS = frozenset[str]()


def unchecked(kind: type[M], fields: dict[str, object]) -> M:
    """A record of values that were checked before: ``model_construct`` without defaults, several times as fast.

    fields: all that will be read; kept, not copied.
    """
    record = kind.__new__(kind)
    object.__setattr__(record, "__dict__", fields)
    object.__setattr__(record, "__pydantic_fields_set__", _NO_FIELDS)
    object.__setattr__(record, "__pydantic_extra__", None)
    object.__setattr__(record, "__pydantic_private__", None)
    return record
