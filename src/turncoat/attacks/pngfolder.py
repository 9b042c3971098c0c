"""Images as PNG files in class folders: names that every file system takes, files that differ in their pixels alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from torch import Tensor

from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress, silent

_FORBIDDEN = frozenset('/\\:*?"<>|%')
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{device}{number}" for device in ("com", "lpt") for number in range(1, 10))]
)
"""Names that Windows keeps for devices, with any suffix."""
_CHANGED = 946684800
"""Each file's time: 1 January 2000."""


def folder_name(class_name: str) -> str:
    """A class's folder: its name, with what a file system might not take written as ``%XX`` (so ``a/b`` is ``a%2Fb``).

    Different classes get different folders. Raises `TurncoatError` for an empty name and one too long for a folder.
    """
    name = "".join(c if c.isprintable() and c not in _FORBIDDEN else _escaped(c) for c in class_name)
    if name.startswith((".", "__MACOSX")) or name.partition(".")[0].lower() in _RESERVED:
        name = _escaped(name[0]) + name[1:]
    if name.endswith((".", " ")):
        name = name[:-1] + _escaped(name[-1])
    if not 0 < len(name.encode()) <= 200:
        got = f"{len(name.encode())} bytes in '{shown(class_name[:30])}...'" if name else "an empty name"
        raise TurncoatError(f"class names: expected 1 to 200 bytes for a folder's name, got {got}")
    return name


def write_pngs(root: Path, files: Sequence[str], images: Tensor, progress: Progress = silent, what: str = "writing") -> None:
    """Write ``images[i]``, uint8 ``(N, C, H, W)``, to ``root / files[i]``, in folders that are there.

    All with the same encoder settings and the same time, so that nothing but the pixels tells two files apart. Parallel.
    """
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        step = 200
        parts = [slice(start, start + step) for start in range(0, len(files), step)]
        waiting = [pool.submit(_write_part, root, files[part], images[part]) for part in parts]
        for done, future in enumerate(as_completed(waiting), start=1):
            future.result()
            progress(what, min(done * step, len(files)), len(files))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def whole_folder(out: Path) -> Generator[Path]:
    """A folder to fill, which becomes ``out`` when the block ends, and is removed if it raises.

    Raises `TurncoatError` where ``out`` is there already and not empty, and where the disk refuses.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise TurncoatError(f"{shown(out)}: is there already; name a new folder with --out, or remove this one")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
        try:
            (partial / "new").mkdir()
            yield partial / "new"
            if out.exists():
                out.rmdir()
            (partial / "new").rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise TurncoatError(f"{shown(out)}: could not be written: {error.strerror or error}") from error


def _write_part(root: Path, files: Sequence[str], images: Tensor) -> None:
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    for file, image in zip(files, pixels, strict=True):
        path = root / file
        Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(path, "PNG", compress_level=6)
        os.utime(path, (_CHANGED, _CHANGED))


def _escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))
