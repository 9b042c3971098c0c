"""Reproductions: a study each, and the claims that are judged on its trials."""

from turncoat.reproductions.base import Reproduction
from turncoat.reproductions.claims import Claim

__all__ = ["Claim", "Reproduction"]
