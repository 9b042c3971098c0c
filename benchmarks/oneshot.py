"""One-shot: 10,000 episodes of 20 ways once their images are embedded, and a training on all pairs, on glyphs."""

from __future__ import annotations

import torch

from benchmarks import machine
from benchmarks.table import Line
from turncoat.component import members
from turncoat.data.glyphs import Glyphs
from turncoat.data.oneshot import ClassSplit
from turncoat.models.base import resolve_settings
from turncoat.oneshot.episodes import draw_episodes
from turncoat.oneshot.networks import Embedder, Head
from turncoat.oneshot.pairs import Pairing
from turncoat.oneshot.score import episode_logits, right
from turncoat.oneshot.scorer import NetworkScorer
from turncoat.oneshot.siamese import make_siamese, shrink
from turncoat.oneshot.training import PairTraining
from turncoat.train import Placement, TrainSettings, train

GOAL = 1.0
EPISODES = 10_000


def run(placement: Placement) -> list[Line]:
    """Seconds to draw and to score the episodes with each head; images a second of `conv4`'s recipe."""
    data = Glyphs().one_shot(ClassSplit())
    lines: list[Line] = []
    embedder = Embedder.parse("conv4")
    for name in members(Head):
        scorer = NetworkScorer(make_siamese(embedder, Head.parse(name), data.train, 0), placement)
        embeddings = scorer.embed(data.test.images)
        episodes = draw_episodes(data.test, 20, 1, EPISODES, torch.Generator().manual_seed(0))

        def score() -> None:
            right(episode_logits(scorer, embeddings, episodes), episodes.answer)  # noqa: B023

        seconds = machine.seconds_of(score, placement)
        lines.append(Line(f"{EPISODES:,} 20-way 1-shot episodes, {name}", f"{seconds:.2f} s", f"goal {GOAL:g} s, once embedded"))
    draw = machine.seconds_of(lambda: draw_episodes(data.test, 20, 1, EPISODES, torch.Generator().manual_seed(0)), placement)
    lines.append(Line(f"{EPISODES:,} 20-way 1-shot episodes drawn", f"{draw:.2f} s"))
    network = make_siamese(embedder, Head.parse("weighted-l1"), data.train, 0)
    pairing = Pairing(data.train.labels, torch.zeros_like(data.train.labels, dtype=torch.bool))
    training = PairTraining(network, pairing, embedder.pairs())
    settings = resolve_settings(embedder, TrainSettings(epochs=3))
    small = shrink(data.train, embedder.size)
    history = train(network, small, settings, 0, placement, hooks=[training], objective=training.objective)
    rate = history.steps * settings.batch_size / history.seconds
    return [*lines, Line("conv4, all pairs of a batch, training", f"{rate:,.0f} images/s", f"batch {settings.batch_size}")]
