"""YAML files as plain mappings: safe tags only, no key twice, errors with their line."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, cast

import yaml

from turncoat.errors import TurncoatError


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, where YAML would silently keep the later."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    problem = f"'{key.value}' is given twice, first in line {seen[key.value]}; keep one"
                    raise yaml.constructor.ConstructorError(problem=problem, problem_mark=key.start_mark)
                seen[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping in a YAML file. Raises `TurncoatError` with the file and, for a syntax error, the line and column."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TurncoatError(f"{path}: there is no such file; expected a YAML file with the settings") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TurncoatError(f"{path}: expected a readable YAML file in UTF-8, got: {error}") from None
    try:
        given: object = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise TurncoatError(f"{path}{where}: {error.problem or error.context or 'not valid YAML'}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TurncoatError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict):
        kind = "an empty file" if given is None else f"a {type(given).__name__}"
        raise TurncoatError(f"{path}: expected settings as 'name: value' lines, got {kind}")
    mapping = cast(dict[object, object], given)
    odd = next((key for key in mapping if not isinstance(key, str)), None)
    if odd is not None:
        raise TurncoatError(f"{path}: expected names as settings, got {odd!r}; put it in quotes if it is one")
    return cast(dict[str, object], mapping)
