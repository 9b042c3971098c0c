"""Downloads: checksummed, resumed where the server allows it, whole or not there at all."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from filelock import FileLock

from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress, silent

_TIMEOUT = (10.0, 60.0)
_ATTEMPTS = 4


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its name here, where it is offered, what it must be."""

    name: str
    urls: tuple[str, ...]
    checksum: str
    """``sha256:...`` or ``md5:...``"""
    size: int
    """In bytes, about; a server that sends over twice as much is cut off."""


class _TooMuch(requests.RequestException):
    """The server sends far more than was published."""


def matches(path: Path, checksum: str) -> bool:
    """Whether the file is there and has the checksum ``ALGORITHM:HEX``."""
    return path.is_file() and _digest(path, checksum.partition(":")[0]) == checksum


def fetch(remote: RemoteFile, folder: Path, progress: Progress = silent, pause: float = 1.0) -> Path:
    """The file in ``folder``, downloaded unless it is there with the right checksum.

    What came is kept as ``NAME.part`` when the connection breaks, and the next call goes on from there. A wrong checksum
    leaves nothing. pause: seconds before an interrupted download goes on, doubled each time. Safe with several processes.
    Raises `TurncoatError` in one line.
    """
    target = folder / remote.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{remote.name}.lock"):
            if not matches(target, remote.checksum):
                _from_any(remote, target, progress, pause)
    except OSError as error:  # requests' own are caught nearer
        raise TurncoatError(f"{shown(target)}: expected to write the download, got: {error.strerror or error}") from error
    return target


def _from_any(remote: RemoteFile, target: Path, progress: Progress, pause: float) -> None:
    part = target.with_name(f"{remote.name}.part")
    failures: list[str] = []
    for url in remote.urls:
        try:
            _persist(url, part, remote, progress, pause)
        except requests.RequestException as error:
            failures.append(f"{url}: {_reason(error)}")
            if isinstance(error, _TooMuch):
                part.unlink()
            continue
        algorithm = remote.checksum.partition(":")[0]
        if (got := _digest(part, algorithm)) == remote.checksum:
            part.replace(target)
            return
        part.unlink()
        failures.append(f"{url}: expected {remote.checksum}, got {got}")
    kept = f"; {part.stat().st_size:,} bytes are kept, run it again to go on" if part.exists() else ""
    raise TurncoatError(f"{remote.name}: could not be downloaded from {shown('; '.join(failures))}{kept}")


def _persist(url: str, part: Path, remote: RemoteFile, progress: Progress, pause: float) -> None:
    """The whole of ``url`` in ``part``, in several attempts as long as each brings something."""
    for attempt in range(_ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue(url, part, remote, progress)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            after = part.stat().st_size if part.exists() else 0
            if after <= before or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(pause * 2**attempt)
            continue
        if before and not matches(part, remote.checksum):  # what was kept may be of another file
            part.unlink()
            _continue(url, part, remote, progress)
        return


def _continue(url: str, part: Path, remote: RemoteFile, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers: Mapping[str, str] = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == 416:  # nothing after what is kept: it is whole, or of another file
            return
        response.raise_for_status()
        resumed = response.status_code == 206
        have = have if resumed else 0
        total = have + int(response.headers.get("Content-Length", 0))
        with part.open("ab" if resumed else "wb") as file:
            for block in response.iter_content(1 << 18):
                have += len(block)
                if have > 2 * remote.size + 4096:
                    raise _TooMuch(f"expected about {remote.size:,} bytes, got more than {have:,}")
                file.write(block)
                progress(remote.name, have, total)


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _reason(error: requests.RequestException) -> str:
    host = urlsplit(error.request.url).hostname if error.request is not None and error.request.url else "the server"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer from {host} within {_TIMEOUT[1]:.0f} s"
    if isinstance(error, requests.exceptions.SSLError):
        return f"{host} could not prove who it is"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke"
    if isinstance(error, requests.ConnectionError):
        return f"no connection to {host} (is there a network?)"
    return str(error)
