"""Settings from the command line: ``a.b=c``, and how they are laid over a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import yaml

from turncoat.errors import TurncoatError

Tree = dict[str, object]
"""Nested mappings with string keys; leaves are whatever YAML gives."""


def parse_overrides(items: Sequence[str]) -> Tree:
    """``["attack.rate=0.05", "attack=badnets"]`` to ``{"attack": {"name": "badnets", "rate": 0.05}}``.

    A value is YAML (``3``, ``true``, ``[1, 2]``, ``{name: x}``, plain text). The order matters only where one path is given
    twice: the later wins. A name and sub-keys of the same path go together. Every mistake is told at once, one a line.
    """
    tree: Tree = {}
    problems: list[str] = []
    for item in items:
        try:
            path, value = parse_override(item)
            tree = _place(tree, path, value, ".".join(path))
        except TurncoatError as error:
            problems.append(str(error))
    if problems:
        raise TurncoatError("\n".join(problems))
    return tree


def parse_override(item: str) -> tuple[tuple[str, ...], object]:
    """``"attack.rate=0.05"`` to ``(("attack", "rate"), 0.05)``."""
    dotted, equals, text = item.partition("=")
    path = tuple(part.strip() for part in dotted.split("."))
    if not equals or not all(path):
        raise TurncoatError(f"{item!r}: expected a setting as path=value, such as attack.rate=0.05")
    try:
        return path, yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = " ".join(str(getattr(error, "problem", None) or error).split())
        raise TurncoatError(f"{'.'.join(path)}: {text!r} is not a YAML value ({why}); put text in quotes") from None


def merge(base: Mapping[str, object], overrides: Mapping[str, object]) -> Tree:
    """Lay ``overrides`` over ``base``, key by key; neither is changed.

    A component may stand as its bare name: a sub-key turns ``badnets`` into ``{name: badnets, ...}``. Another name drops the
    settings of the component before, which would mean nothing to the new one; settings that the overrides give stay.
    """
    merged: Tree = dict(base)
    for key, value in overrides.items():
        merged[key] = _lay(merged[key], value) if key in merged else value
    return merged


def _lay(below: object, above: object) -> object:
    old, new = _tree(below), _tree(above)
    if isinstance(below, str) and new is not None:
        old = {"name": below}
    if isinstance(above, str) and old is not None and "name" in old:
        new = {"name": above}
    if old is None or new is None:
        return above
    if "name" not in new or "name" not in old:
        return merge(old, new)
    if _same(str(old["name"]), str(new["name"])):
        return merge(old, {**new, "name": old["name"]})
    return new


def _tree(value: object) -> Tree | None:
    return dict(cast(Mapping[str, object], value)) if isinstance(value, Mapping) else None


def _same(old: str, new: str) -> bool:
    """Whether ``new`` names the component that is there; with an argument of its own (``folder:OTHER``) it is a new one."""
    return new in (old, old.partition(":")[0])


def _place(tree: Tree, path: tuple[str, ...], value: object, dotted: str) -> Tree:
    """``tree`` with ``value`` at ``path``; a name already there, or put there, joins its sub-keys."""
    head, rest = path[0], path[1:]
    there = tree.get(head)
    if rest:
        if isinstance(there, str):
            there = {"name": there}
        if there is not None and not isinstance(there, dict):
            raise TurncoatError(f"{dotted}: contradicts the value {there!r} given for a part of that path")
        return {**tree, head: _place(cast(Tree, there or {}), rest, value, dotted)}
    if isinstance(there, dict) and isinstance(value, str):
        value = {**cast(Tree, there), "name": value}
    elif isinstance(there, dict) and isinstance(value, dict):
        value = {**cast(Tree, there), **cast(Tree, value)}
    elif isinstance(there, dict):
        raise TurncoatError(f"{dotted}: {value!r} contradicts the settings {sorted(cast(Tree, there))} given below it")
    return {**tree, head: value}
