"""What ``turncoat poison`` is asked to do: data and attack from what was written on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from turncoat.attacks.base import Attack
from turncoat.attacks.pairgoals import PairGoal
from turncoat.component import members
from turncoat.data.source import Source
from turncoat.errors import TurncoatError
from turncoat.experiment.config import lay_over
from turncoat.experiment.mistakes import SettingsError, mistakes_of
from turncoat.experiment.yamlfile import read_yaml
from turncoat.overrides import Tree, parse_override, parse_overrides


class PoisonRequest(BaseModel, frozen=True, extra="forbid"):
    """Data and attack, checked; nothing is loaded yet."""

    data: Source
    attack: Attack


def parse_request(data: str, attack: str, overrides: Sequence[str] = ()) -> PoisonRequest:
    """data: a source (``digits``, ``folder:PATH``) or just a folder's path. attack: a name, ``{name: ..., rate: ...}``, or a YAML
    file with these settings or with a trial's, whose ``attack`` is taken. overrides: ``attack.rate=0.05``, ``data.size=32``.

    Raises `TurncoatError` with every mistake, one a line.
    """
    given: Tree = {"data": _read_data(data), "attack": _read_attack(attack)}
    changes = parse_overrides(overrides)
    odd = [key for key in changes if key not in given]
    if odd:
        hint = f"attack.{odd[0]}" if odd[0] in Attack.model_fields else "attack.rate=0.05 or data.size=32"
        raise TurncoatError(f"{odd[0]}: expected a setting of attack or data, such as {hint}")
    given = lay_over(given, changes)
    try:
        request = PoisonRequest.model_validate(given)
    except ValidationError as error:
        raise SettingsError(mistakes_of(error, PoisonRequest, given)) from None
    if isinstance(request.attack.goal, PairGoal):
        name = request.attack.goal.name
        raise TurncoatError(f"attack.goal: '{name}' falsifies pairs, which class folders do not hold; give all-to-one, say")
    return request


def _read_data(text: str) -> object:
    if text.partition(":")[0] not in members(Source) and Path(text).expanduser().is_dir():
        return {"name": "folder", "path": text}
    return text


def _read_attack(text: str) -> object:
    if text.endswith((".yaml", ".yml")):
        settings = read_yaml(Path(text))
        return settings.get("attack", settings)
    return parse_override(f"attack={text}")[1]
