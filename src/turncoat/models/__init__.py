"""Victims: one file a family of architectures."""

from turncoat.models.base import Model, Normalised, make_victim, resolve_settings

__all__ = ["Model", "Normalised", "make_victim", "resolve_settings"]
