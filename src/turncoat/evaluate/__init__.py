"""What a victim does on clean and on triggered images, each figure with its interval."""

from turncoat.evaluate.rows import Row
from turncoat.evaluate.victim import evaluate_attack, evaluate_clean

__all__ = ["Row", "evaluate_attack", "evaluate_clean"]
