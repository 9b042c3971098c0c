"""Natural features: what some images have anyway, and a small change can give to others."""

from turncoat.attacks.features.base import Aim, Feature, LinearScore, Score, scores, top_share

__all__ = ["Aim", "Feature", "LinearScore", "Score", "scores", "top_share"]
