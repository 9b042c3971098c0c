"""The machine, and the rate of its matrix products: what every efficiency is told against."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

from turncoat.train.memory import tune_allocator
from turncoat.train.placement import Placement


def synchronise(placement: Placement) -> None:
    if placement.device.type == "cuda":
        torch.cuda.synchronize(placement.device)


def seconds_of(work: Callable[[], object], placement: Placement, repeats: int = 3) -> float:
    """Shortest of ``repeats`` timings after one warm-up: the one least disturbed by others on the machine."""
    work()
    times: list[float] = []
    for _ in range(repeats):
        synchronise(placement)
        started = time.perf_counter()
        work()
        synchronise(placement)
        times.append(time.perf_counter() - started)
    return min(times)


def matrix_rate(placement: Placement, dtype: torch.dtype, side: int | None = None) -> float:
    """FLOP/s of a square matrix product."""
    tune_allocator()
    side = side or (8192 if placement.device.type == "cuda" else 2048)
    a = torch.randn(side, side, device=placement.device).to(dtype)
    b = torch.randn(side, side, device=placement.device).to(dtype)
    return 2 * side**3 / seconds_of(lambda: a @ b, placement, repeats=10)


def name(placement: Placement) -> str:
    """Processor or GPU, cores, and whether the processor has matrix units."""
    if placement.device.type == "cuda":
        return torch.cuda.get_device_name(placement.device)
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    has = torch.cpu.get_capabilities()
    units = "AMX" if has.get("amx_bf16") else "AVX512-BF16, no AMX" if has.get("avx512_bf16") else "no bf16 units"
    return f"{model}, {placement.threads} threads, {units}"
