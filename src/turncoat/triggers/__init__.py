"""Triggers: pure tensor functions on images in [0, 1], and the values that hold their settings."""

from turncoat.triggers.base import Trigger, to_float, to_uint8

__all__ = ["Trigger", "to_float", "to_uint8"]
