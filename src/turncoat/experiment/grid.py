"""A study file: axes crossed over a base configuration, every cell checked before anything runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from turncoat.errors import TurncoatError
from turncoat.experiment.config import Config, lay_over, parse_config
from turncoat.experiment.mistakes import SettingsError
from turncoat.experiment.yamlfile import read_yaml
from turncoat.overrides import Tree, parse_overrides

Axes = dict[str, list[object]]
"""Dotted setting to the values it takes."""


@dataclass(frozen=True)
class Cell:
    """One trial of a study: its value on each axis, and the whole configuration."""

    settings: dict[str, object]
    config: Config

    @property
    def label(self) -> str:
        """``attack=badnets, attack.rate=0.01, seed=0``."""
        return ", ".join(f"{axis}={_short(value)}" for axis, value in self.settings.items()) or "base"


def read_study(path: Path, overrides: Sequence[str] = ()) -> list[Cell]:
    """The cells of a study file, ``{base: settings or a file beside it, axes: {setting: [values]}}``.

    overrides: ``a.b=c`` changes the base, ``axes.a.b=[...]`` an axis. Raises `SettingsError` with every mistake of every cell.
    """
    document, changes = read_yaml(path), parse_overrides(overrides)
    axes_changes = changes.pop("axes", {})
    unknown = [key for key in document if key not in ("base", "axes")]
    if unknown or "base" not in document:
        wrong = [(key, "unknown setting; a study has base and axes") for key in unknown]
        raise SettingsError(wrong or [("base", "is missing: the settings that all trials share, or a file with them")], str(path))
    axes = {**_axes(document.get("axes", {}), str(path)), **_axes(axes_changes, str(path))}
    base = lay_over(_base(document["base"], path), changes)
    fixed = [key for key in _paths(changes) if key in axes]
    if fixed:
        raise TurncoatError(f"{fixed[0]}: is an axis of {path}; give axes.{fixed[0]}=[...] to change its values")
    return _cross(base, axes, str(path))


def _base(given: object, path: Path) -> Tree:
    if isinstance(given, str):
        return read_yaml(path.parent / given)
    if not isinstance(given, Mapping):
        raise SettingsError([("base", f"expected settings or a file with them, got {_short(given)}")], str(path))
    return dict(cast(Mapping[str, object], given))


def _axes(given: object, source: str) -> Axes:
    """Axes by dotted path; nested mappings and dotted keys mean the same."""
    if not isinstance(given, Mapping):
        raise SettingsError([("axes", f"expected a setting and its values a line, got {_short(given)}")], source)
    axes: Axes = {}
    wrong: list[tuple[str, str]] = []
    for axis, values in _flatten(cast(Mapping[object, object], given)):
        if not isinstance(values, list) or not values:
            wrong.append((f"axes.{axis}", f"expected a list of values, got {_short(cast(object, values))}"))
            continue
        listed = cast("list[object]", values)
        again = next((value for index, value in enumerate(listed) if value in listed[:index]), None)
        if again is not None:
            wrong.append((f"axes.{axis}", f"{_short(again)} is given twice; keep one"))
        axes[axis] = listed
    if wrong:
        raise SettingsError(wrong, source)
    return axes


def _flatten(given: Mapping[object, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in given.items():
        if isinstance(value, Mapping):
            yield from _flatten(cast(Mapping[object, object], value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _paths(tree: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from _paths(cast(Mapping[str, object], value), f"{prefix}{key}.")


def _cross(base: Tree, axes: Axes, source: str) -> list[Cell]:
    cells: list[Cell] = []
    mistakes: list[tuple[str, str]] = []
    for chosen in itertools.product(*(range(len(values)) for values in axes.values())):
        settings = {axis: axes[axis][index] for axis, index in zip(axes, chosen, strict=True)}
        try:
            cells.append(Cell(settings, parse_config(_lay(base, settings))))
        except SettingsError as error:
            places = dict(zip(axes, chosen, strict=True))
            mistakes += [(_origin(path, places, base), problem) for path, problem in error.mistakes]
    if mistakes:
        raise SettingsError(mistakes, source)
    return cells


def _lay(base: Tree, settings: Mapping[str, object]) -> Tree:
    """Broad settings first: ``attack`` before ``attack.rate``, in whatever order the axes stand."""
    for axis in sorted(settings, key=lambda axis: axis.count(".")):
        value: object = settings[axis]
        parts = axis.split(".")
        for part in reversed(parts[1:]):
            value = {part: value}
        base = lay_over(base, {parts[0]: value})
    return base


def _origin(path: str, places: Mapping[str, int], base: Tree) -> str:
    """Where in the study file a cell's setting stands."""
    above = [axis for axis in places if path == axis or path.startswith(f"{axis}.")]
    if above:
        axis = max(above, key=len)
        return f"axes.{axis}[{places[axis]}]{path[len(axis) :]}"
    below = [axis for axis in places if axis.startswith(f"{path}.")]
    return f"axes.{below[0]}" if below and path not in base else f"base.{path}"


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        value = cast(Mapping[str, object], value).get("name", cast(object, value))
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
