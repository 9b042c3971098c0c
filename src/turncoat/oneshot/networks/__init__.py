"""Embedders and heads, found by scanning."""

from turncoat.oneshot.networks.base import Comparison, Embedder, Head

__all__ = ["Comparison", "Embedder", "Head"]
