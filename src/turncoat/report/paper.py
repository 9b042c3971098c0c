"""A paper's reference with links, to arXiv and DOI alone: a reference from a stranger's trial leads nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass

_KNOWN = re.compile(
    r"(?:https?://(?:www\.)?arxiv\.org/(?:abs|pdf)/|arxiv:\s*)(?P<arxiv>\d{4}\.\d{4,5}(?:v\d+)?)(?:\.pdf)?"
    r"|(?:https?://(?:dx\.)?doi\.org/|doi:\s*)(?P<doi>10\.\d{4,9}/[-._;()/:a-z0-9]*[a-z0-9])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Part:
    """A stretch of text, with where it leads."""

    text: str
    link: str | None = None


def paper_parts(reference: str) -> list[Part]:
    """The reference cut into plain and linked stretches."""
    parts: list[Part] = []
    end = 0
    for found in _KNOWN.finditer(reference):
        if found.start() > end:
            parts.append(Part(reference[end : found.start()]))
        arxiv, doi = found["arxiv"], found["doi"]
        parts.append(Part(found[0], f"https://arxiv.org/abs/{arxiv}" if arxiv else f"https://doi.org/{doi}"))
        end = found.end()
    if end < len(reference):
        parts.append(Part(reference[end:]))
    return parts
