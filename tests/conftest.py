"""What all tests share: a data folder of their own, few threads, no network, and the real images where there are some."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

os.environ["MPLBACKEND"] = "Agg"
os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # one thread a worker, also in what tests start; must precede torch
    os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
settings.register_profile("turncoat", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("turncoat")


@pytest.fixture(scope="session", autouse=True)
def own_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Downloads and decoded images of the tests go into a temporary folder, never into the user's."""
    folder = tmp_path_factory.mktemp("turncoat-data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNCOAT_DATA", str(folder))
        yield folder


def _is_loopback(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else (host or "localhost")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """A test that reaches beyond this machine fails; ``Failed`` is no ``Exception``, so no handler can swallow it."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            pytest.fail(f"a test reached for the network: {address}")
        connect(self, address)

    def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_loopback(host):
            pytest.fail(f"a test reached for the network: {host}")
        return resolve(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket, "getaddrinfo", guarded_resolve)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with cifar10-jpeg/, flowers-160/ and omniglot/, as TURNCOAT_REAL_DATA names it; read only."""
    folder = os.environ.get("TURNCOAT_REAL_DATA")
    if not folder:
        pytest.skip("TURNCOAT_REAL_DATA is not set")
    path = Path(folder)
    for name in ("cifar10-jpeg", "flowers-160", "omniglot"):
        assert (path / name).is_dir(), f"TURNCOAT_REAL_DATA={folder} has no {name}/"
    return path
