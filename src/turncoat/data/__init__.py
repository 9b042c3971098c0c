"""Images and labels, and where they come from."""

from turncoat.data.imageset import ImageSet, Splits
from turncoat.data.source import Source, load

__all__ = ["ImageSet", "Source", "Splits", "load"]
