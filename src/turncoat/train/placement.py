"""Where and in which precision a network runs."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from turncoat.errors import TurncoatError

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Placement:
    """A device, the precision of its matrix products (weights stay fp32) and the CPU threads."""

    device: torch.device
    precision: Precision
    threads: int

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def describe(self) -> str:
        """What the metrics may depend on: the device's model and capability; part of a trial's key."""
        if self.device.type == "cuda":
            return f"cuda {torch.cuda.get_device_name(self.device)}"
        if self.device.type == "cpu":
            return f"cpu {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
        return self.device.type


def to_device(network: nn.Module, placement: Placement) -> None:
    """Move a network in place, its filters laid out channels-last, which bf16 convolutions want on CPU and GPU."""
    network.to(device=placement.device)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - missing from torch's stubs


def split(tensor: Tensor, size: int) -> tuple[Tensor, ...]:
    """`Tensor.split`, which torch leaves untyped."""
    return tuple(torch.split(tensor, size))


def place(device: str = "auto", precision: str = "auto") -> Placement:
    """Resolve ``auto`` (CUDA, else MPS, else CPU; bf16 where the hardware multiplies it faster) and check what was asked for.

    Raises `TurncoatError` for a device that is not there or a precision that it cannot do.
    """
    where = _device(device)
    if precision not in ("auto", "fp32", "bf16"):
        raise TurncoatError(f"precision: expected auto, fp32 or bf16, got {precision!r}")
    chosen: Precision = "bf16" if precision == "bf16" or (precision == "auto" and _fast_bf16(where)) else "fp32"
    return Placement(where, chosen, torch.get_num_threads())


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise TurncoatError(f"device: expected auto, cpu, cuda, cuda:N or mps, got {name!r}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TurncoatError(f"device: {name} is not there: {torch.cuda.device_count()} CUDA devices; use device=auto or cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise TurncoatError("device: mps is not available on this machine; use device=auto or cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise TurncoatError(f"device: expected auto, cpu, cuda, cuda:N or mps, got {name!r}")
    return device


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return False
