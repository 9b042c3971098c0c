"""What is asked of every method alike: the episodes and pairs of a trial, drawn once from its seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from turncoat.data.oneshot import OneShotData
from turncoat.oneshot.episodes import Episodes, draw_episodes, most_ways
from turncoat.oneshot.verification import Pairs, draw_pairs
from turncoat.seeds import generator

Ways = tuple[Annotated[int, Field(ge=2, le=60)], ...]
Shots = tuple[Annotated[int, Field(ge=1, le=20)], ...]


class EpisodeSettings(BaseModel, frozen=True, extra="forbid"):
    """What a one-shot network is measured on. Ways and shots that the data have too few classes or images for are left out."""

    episodes: int = Field(default=1000, ge=100, description="of each N-way K-shot task")
    ways: Ways = Field(default=(2, 5, 9, 19, 20, 21, 29, 39, 49, 59, 60), description="N, classes from the whole test set")
    within_ways: Ways = Field(default=(5, 20), description="N, classes of one alphabet")
    shots: Shots = Field(default=(1, 5), description="K, images that show a class")
    pairs: int = Field(default=5000, ge=100, description="of one class, and as many of two")
    attack_ways: Ways = Field(default=(5, 20), description="N of the tasks with a trigger, 1-shot")


@dataclass(frozen=True, eq=False)
class Attacked:
    """1-shot episodes in which a trigger is shown. bait: int64 ``(E,)``, the wrong way whose support image may carry it."""

    episodes: Episodes
    bait: Tensor


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that is drawn. threshold, pairs: of ``data.threshold`` and ``data.test``; the rest is of ``data.test``.

    episodes: by name, as in a figure's group ("unstructured 20-way 1-shot"). main: what clean and robust accuracy are told of,
    20-way 1-shot, or the most ways there are. attacked: by N.
    """

    threshold: Pairs
    pairs: Pairs
    episodes: dict[str, Episodes]
    main: Episodes
    attacked: dict[int, Attacked]


def draw_plan(data: OneShotData, settings: EpisodeSettings, seed: int) -> Plan:
    """The plan of a trial: the same data, settings and seed give the same, whatever is measured with it.

    Raises `TurncoatError` where the test or threshold classes are too few for any pair or episode.
    """
    draw = generator(seed, "test")
    threshold, pairs = (draw_pairs(part, settings.pairs, draw) for part in (data.threshold, data.test))
    most = most_ways(data.test, 1)
    main = draw_episodes(data.test, min(20, most), 1, settings.episodes, draw)
    episodes: dict[str, Episodes] = {}
    for kind, ways, within in (("unstructured", settings.ways, False), ("within-alphabet", settings.within_ways, True)):
        for shots in settings.shots:
            limit = most_ways(data.test, shots, within_group=within)
            for n in ways:
                if n == main.ways and shots == 1 and not within:
                    episodes[group(kind, n, shots)] = main
                elif n <= limit:
                    drawn = draw_episodes(data.test, n, shots, settings.episodes, draw, within_group=within)
                    episodes[group(kind, n, shots)] = drawn
    attacked: dict[int, Attacked] = {}
    for n in settings.attack_ways:
        if n <= most:
            known = main if n == main.ways else episodes.get(group("unstructured", n, 1))
            if known is None:
                known = draw_episodes(data.test, n, 1, settings.episodes, draw)
            attacked[n] = _baited(known, draw)
    return Plan(threshold, pairs, episodes, main, attacked)


def group(kind: str, ways: int, shots: int) -> str:
    """The name of a task in figures: "unstructured 20-way 1-shot"."""
    return f"{kind} {ways}-way {shots}-shot"


def _baited(episodes: Episodes, draw: torch.Generator) -> Attacked:
    shift = torch.randint(1, episodes.ways, (len(episodes),), generator=draw)
    return Attacked(episodes, (episodes.answer + shift) % episodes.ways)
