"""Triggers: pure tensor functions on images in [0, 1], and the values that hold their settings."""

from turncoat.triggers.base import Overlay, Trigger, paste, to_float, to_uint8
from turncoat.triggers.blend import blend
from turncoat.triggers.patch import Patch
from turncoat.triggers.patterns import Pattern

__all__ = ["Overlay", "Patch", "Pattern", "Trigger", "blend", "paste", "to_float", "to_uint8"]
