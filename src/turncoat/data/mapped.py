"""Images in a ``.npy`` file as a tensor that is read on demand, so that they may be larger than the memory."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from turncoat.errors import TurncoatError, shown


def map_npy(path: Path, start: int = 0) -> Tensor:
    """The uint8 array of the ``.npy`` data that begins ``start`` bytes into ``path`` (C order), memory-mapped.

    Writes to the tensor never reach the file. Raises `TurncoatError` for any other content or for a file cut short.
    """
    with path.open("rb") as file:
        file.seek(start)
        shape, fortran, dtype = read_npy_header(file, path)
        offset = file.tell()
        count = int(np.prod(shape, dtype=np.int64))
        if dtype != np.uint8 or fortran or count == 0:
            raise TurncoatError(f"{shown(path)}: expected a uint8 array in C order, got {dtype} {shape}")
        there = path.stat().st_size - offset
        if there < count:
            raise TurncoatError(f"{shown(path)}: expected {count} bytes for an array {shape}, got {there}")
        mapped = _map(file.fileno())
    return torch.frombuffer(mapped, dtype=torch.uint8, count=count, offset=offset).view(*shape)


def read_npy_header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, Fortran order and dtype from an open ``.npy`` file, which is left at its data. Reads no pickle."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(file)
    except ValueError as error:
        raise TurncoatError(f"{shown(path)}: expected a NumPy array, got something else ({shown(error)})") from None


def _map(handle: int) -> mmap.mmap:
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(handle, 0, access=mmap.ACCESS_COPY)
    # without MAP_NORESERVE the kernel refuses a private mapping larger than memory and swap
    flags = mmap.MAP_PRIVATE | int(getattr(mmap, "MAP_NORESERVE", 0))
    return mmap.mmap(handle, 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
