"""Small image folders, archives and a file server on this machine, for the tests of data sources."""

from __future__ import annotations

import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SaveTree = Callable[..., Path]


def noise(seed: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    pixels = np.random.RandomState(seed).randint(0, 256, (height, width, channels), dtype=np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def encoded(seed: int, height: int = 6, width: int = 6, kind: str = "PNG", channels: int = 3) -> bytes:
    out = io.BytesIO()
    Image.fromarray(noise(seed, height, width, channels)).save(out, kind)
    return out.getvalue()


@pytest.fixture
def save_tree(tmp_path: Path) -> SaveTree:
    """``save_tree("train/cat", "train/dog", count=2)``: those folders with PNG noise images, below a new folder."""

    def save(*folders: str, count: int = 2, size: tuple[int, int] = (6, 6), channels: int = 3, root: str = "images") -> Path:
        for number, folder in enumerate(folders):
            (tmp_path / root / folder).mkdir(parents=True)
            for i in range(count):
                pixels = noise(100 * number + i, *size, channels)
                Image.fromarray(pixels).save(tmp_path / root / folder / f"{i}.png")
        return tmp_path / root

    return save


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own."""
    monkeypatch.setenv("TURNCOAT_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


def make_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


class Server:
    """What it offers, what it was asked, and how it should behave."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.ranges = True
        self.break_after: list[int] = []
        """Bytes after which the next answers break off, one entry an answer."""
        self.url = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append((self.path, wanted))
            data = state.files.get(self.path.lstrip("/"))
            if data is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
            if start and start >= len(data):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            stop = start + state.break_after.pop(0) if state.break_after else len(data)
            self.wfile.write(data[start:stop])
            self.wfile.flush()
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    httpd = Quiet(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_port}/"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def make() -> type[Make]:
    return Make


class Make:
    """The makers above, for tests (a conftest cannot be imported)."""

    noise = staticmethod(noise)
    encoded = staticmethod(encoded)
    zip = staticmethod(make_zip)
    tar = staticmethod(make_tar)

    @staticmethod
    def cifar(count: int = 4, **changes: bytes) -> dict[str, bytes]:
        """Members of a small CIFAR-10 archive; ``changes`` replace batches by name (without .bin)."""
        names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
        found: dict[str, bytes] = {}
        for seed, name in enumerate(names):
            records = np.random.RandomState(seed).randint(0, 256, (count, 3073), dtype=np.uint8)
            records[:, 0] = np.arange(count) % 10
            found[f"cifar-10-batches-bin/{name}.bin"] = changes.get(name, records.tobytes())
        return {**found, "cifar-10-batches-bin/batches.meta.txt": b"airplane\n"}

    @staticmethod
    def idx(array: np.ndarray) -> bytes:
        shape = np.array(array.shape, ">u4").tobytes()
        return b"\0\0\x08" + bytes([array.ndim]) + shape + array.astype(np.uint8).tobytes()
