"""PreActResNet-18, images a second: the engine against the usual pipeline, on the same images in one run."""

from __future__ import annotations

import torch

from benchmarks import machine
from benchmarks.flops import training_flops
from benchmarks.table import Line
from benchmarks.usual_pipeline import images_per_second
from turncoat.data import ImageSet
from turncoat.models import Model, make_victim
from turncoat.train import Augmentation, Placement, TrainSettings, train

GOALS = {"cpu": 3.3, "cuda": 8.0}


def run(data: ImageSet, placement: Placement) -> list[Line]:
    """Ratio and both rates, and how far the engine is from the matrix rate of the same run."""
    on_gpu = placement.device.type == "cuda"
    count, batch = (50_000, 512) if on_gpu else (1536, 256)
    part = data.subset(torch.arange(min(count, len(data))))
    model = Model.parse("preact-resnet18")
    workers = 8 if on_gpu else 2
    usual = images_per_second(make_victim(model, part, 0), part, placement.device, workers=workers)
    settings = TrainSettings(
        epochs=1, batch_size=batch, lr=0.01, augmentation=Augmentation(flip="random", crop=2), compile=on_gpu
    )
    ours: list[float] = []
    for _ in range(2):  # the first warms up (and compiles)
        victim = make_victim(model, part, 0)
        history = train(victim, part, settings, 0, placement)
        ours.append(history.steps * batch / history.seconds)
    rate = machine.matrix_rate(placement, torch.bfloat16)
    flops = training_flops(make_victim(model, part, 0), part.shape)
    return [
        Line("PreActResNet-18, usual pipeline", f"{usual:.0f} images/s"),
        Line("PreActResNet-18, engine", f"{max(ours):.0f} images/s", f"batch {batch}, {placement.precision}"),
        Line("engine / usual pipeline", f"{max(ours) / usual:.2f}x", f"goal {GOALS[placement.device.type]}x"),
        Line("engine against the bf16 matrix rate", f"{max(ours) * flops / rate:.0%}", f"{rate / 1e9:,.0f} GFLOP/s"),
    ]
