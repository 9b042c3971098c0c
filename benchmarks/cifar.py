"""CIFAR-10, BadNets 1%: CA, ASR and seconds of the fast net, and its distance from the hardware's limit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import torch

from benchmarks import machine
from benchmarks.flops import training_flops
from benchmarks.table import Line
from turncoat.experiment.run import run as run_trials
from turncoat.experiment.trial import TrialResult
from turncoat.models import Model
from turncoat.train import Placement

EXAMPLE = Path(__file__).parent.parent / "examples" / "cifar10-badnets.yaml"


def run(folder: Path, placement: Placement, preset: Literal["full", "quick"], seeds: int = 1) -> list[Line]:
    """One line a figure. ``folder`` has train/CLASS and test/CLASS."""
    rate = machine.matrix_rate(placement, torch.bfloat16)
    with tempfile.TemporaryDirectory() as store:
        overrides = ["data.name=folder", f"data.path={folder}", f"train.preset={preset}"]
        trials = run_trials(EXAMPLE, overrides, out=store, seeds=seeds, report=False)
    lines: list[Line] = []
    for seed, trial in enumerate(trials):
        lines += [Line(f"fast net, {preset}, seed {seed}: {line.what}", line.figure, line.note) for line in _of(trial, rate)]
    return lines


def _of(trial: TrialResult, rate: float) -> list[Line]:
    record = trial.record
    rows = {(row.stage, row.method, row.metric): row for row in record.rows if row.group == ""}
    lines: list[Line] = []
    for method in ("victim", "clean-twin"):
        for metric in ("ca", "asr"):
            row = rows["evaluate", method, metric]
            interval = f"95% [{row.low:.2%}, {row.high:.2%}], n = {row.n:,}"
            lines.append(Line(f"{method} {metric.upper()}", f"{row.value:.2%}", interval))
    training = rows["train", "victim", "peak_memory_mb"]
    seconds = training.seconds or float("nan")
    evaluation = sum(rows["evaluate", "victim", metric].seconds or 0 for metric in ("ca", "asr"))
    shape = (record.data.shape[0], record.data.shape[1], record.data.shape[2])
    network = Model.parse(record.config["model"]).build(shape, len(record.data.classes))
    epochs = record.config["train"]["epochs"]
    work = training_flops(network, shape) * record.data.train * epochs
    limit = f"{rate / 1e9:,.0f} GFLOP/s, {work / 1e12:,.0f} TFLOP"
    return [
        *lines,
        Line("training", f"{seconds:.0f} s", f"{epochs:g} epochs"),
        Line("evaluation (CA and ASR) / training", f"{evaluation / seconds:.1%}", f"{evaluation:.1f} s; goal 5%"),
        Line("against the bf16 matrix rate", f"{work / seconds / rate:.0%}", limit),
        Line("peak memory while training", f"{training.value:,.0f} MiB"),
    ]
