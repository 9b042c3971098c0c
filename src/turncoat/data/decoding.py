"""Many image files to `Splits`, in parallel and through the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from turncoat.data.cache import Cache, Pixels, Workspace
from turncoat.data.imageset import Splits
from turncoat.data.listing import ListedFile, Listing
from turncoat.data.picture import MAX_BYTES, VERSION, Header, Size, decode, pillow_warnings, read_header
from turncoat.data.places import workers
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress, silent

_CHUNK = 32
_SMALL = 64
"""Below this side Pillow spends its time in Python, where threads only get into each other's way."""

T = TypeVar("T")
R = TypeVar("R")


class Picture(NamedTuple):
    """An encoded image with its label: ``read()`` gives the file's bytes, ``name`` stands in errors."""

    name: str
    read: Callable[[], bytes]
    label: int


def from_file(file: ListedFile, label: int) -> Picture:
    """A listed image file as a picture."""

    def read() -> bytes:
        if file.size > MAX_BYTES:
            raise TurncoatError(f"{shown(file.path)}: expected an image of at most {MAX_BYTES >> 20} MiB, got {file.size} bytes")
        try:
            return Path(file.path).read_bytes()
        except OSError as error:
            raise TurncoatError(f"{shown(file.path)}: expected a file that can be read, got: {error.strerror}") from None

    return Picture(file.path, read, label)


class Pictures(NamedTuple):
    """The encoded images of a data set, sorted by split."""

    classes: tuple[str, ...]
    train: Sequence[Picture]
    test: Sequence[Picture]


def decode_pictures(
    pictures: Callable[[], Pictures],
    *,
    size: Size | None,
    grey: bool | None,
    listing: Listing | None,
    settings: Mapping[str, object],
    area: bool = False,
    progress: Progress = silent,
    cache: Cache | None = None,
) -> Splits:
    """Decode to `Splits`, or take them from the cache.

    pictures: lists the images; called only if the listing is not known to the cache. size: (height, width), or None where all
    are alike. grey: one channel (True), three (False), or one exactly if every image is grey (None). listing: of the
    files, see `Cache.splits`. settings: what else decides which images there are (how they are split, say). area: resized by
    area, see `decode`.
    Raises `TurncoatError` naming the first file that is no whole image or has another size.
    """
    found: list[Pictures] = []
    headers: list[Header] = []

    def content() -> str:
        found.append(pictures())
        headers.extend(_survey([*found[0].train, *found[0].test], size, progress))
        return _content(found[0], headers)

    def build(workspace: Workspace) -> None:
        classes, train, test = found[0]
        one_channel = all(header.grey for header in headers) if grey is None else grey
        height, width = size or headers[0].size
        start = 0
        for split, part in (("train", train), ("test", test)):
            out = workspace.array(split, (len(part), 1 if one_channel else 3, height, width))
            _decode_into(out, part, headers[start : start + len(part)], size, area=area, progress=progress)
            start += len(part)
        workspace.describe(classes, train=[p.label for p in train], test=[p.label for p in test])

    decoding = {"size": size, "grey": grey, "version": VERSION, **({"area": True} if area else {}), **settings}
    return (cache or Cache()).splits(listing, decoding, content, build)


def _survey(pictures: Sequence[Picture], size: Size | None, progress: Progress) -> list[Header]:
    def one(picture: Picture) -> Header:
        return read_header(picture.read(), picture.name)

    headers = list(_parallel(one, pictures, "reading", progress, workers()))
    if size is None:
        for picture, header in zip(pictures, headers, strict=True):
            if header.size != headers[0].size:
                raise _mixed(pictures[0].name, headers[0].size, picture.name, header.size)
    return headers


def _mixed(name: str, size: Size, other: str, other_size: Size) -> TurncoatError:
    return TurncoatError(
        f"{shown(other)}: expected {size[1]}x{size[0]} pixels like {shown(name)}, got {other_size[1]}x{other_size[0]}; "
        f"give size= to resize all images, e.g. size={min(size)}"
    )


def _decode_into(
    out: Pixels, pictures: Sequence[Picture], headers: Sequence[Header], size: Size | None, *, area: bool, progress: Progress
) -> None:
    grey = out.shape[1] == 1
    threads = workers() if min(headers[0].size) >= _SMALL else 1

    def one(index: int) -> None:
        picture, header = pictures[index], headers[index]
        data = picture.read()
        if hashlib.sha256(data).digest() != header.digest:
            raise TurncoatError(f"{shown(picture.name)}: expected the file to stay as it is, but it changed while being read")
        pixels = decode(data, picture.name, size, grey, area)
        if pixels.shape != out.shape[1:]:
            raise _mixed(pictures[0].name, (out.shape[2], out.shape[3]), picture.name, (pixels.shape[1], pixels.shape[2]))
        out[index] = pixels

    for _ in _parallel(one, range(len(pictures)), "decoding", progress, threads):
        pass


def _parallel(function: Callable[[T], R], items: Sequence[T], what: str, progress: Progress, threads: int) -> Iterator[R]:
    """Results in order; the first item (in order) that fails ends it, and what has not begun is not done."""

    def chunk(start: int) -> list[R]:
        return [function(item) for item in items[start : start + _CHUNK]]

    done = 0
    progress(what, 0, len(items))
    with pillow_warnings():
        pool = ThreadPoolExecutor(threads)
        try:
            for results in pool.map(chunk, range(0, len(items), _CHUNK)):
                yield from results
                done += len(results)
                progress(what, done, len(items))
        finally:
            pool.shutdown(cancel_futures=True)


def _content(pictures: Pictures, headers: Iterable[Header]) -> str:
    digest = hashlib.sha256("\0".join((*pictures.classes, str(len(pictures.train)), "")).encode())
    for picture, header in zip([*pictures.train, *pictures.test], headers, strict=True):
        digest.update(header.digest + picture.label.to_bytes(4, "little"))
    return digest.hexdigest()
