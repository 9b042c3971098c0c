"""Weights from someone else's file, without running anything of it: what the file is, and the tensors in it."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn

from turncoat.errors import TurncoatError, shown

Kind = Literal["safetensors", "checkpoint", "onnx"]

STATES = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "net_state_dict", "weights", "params"),
    *("module", "backbone", "classifier", "student", "model_ema", "state_dict_ema", "ema", "params_ema"),
)
"""Keys under which training scripts keep a network's weights, in the order in which they are looked for."""
CHECKPOINTS = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl", ".pth.tar")
_BESIDE = (
    *("argparse.", "pathlib.", "datetime.", "numpy.", "_codecs.encode", "types.SimpleNamespace", "collections.defaultdict"),
    *("omegaconf.", "yacs.config.", "easydict.", "addict.", "ml_collections."),
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "list", "dict")),
)
"""What training scripts keep beside the weights: options, paths, dates, figures. None of it is run; all of it is left out."""
INSTEAD = "save its weights as safetensors (safetensors.torch.save_model), or export it to ONNX"
_DEPTH = 3
_RATIO, _LIMIT = 100, 1 << 30
_NAMED = 6


@dataclass(frozen=True, eq=False)
class State:
    """A network's tensors by name, and the key of the file that they stood under; empty: at its top.

    left_out: what stood beside them and would have had to be run to be read; holes: whether some of it stood among them.
    """

    tensors: Mapping[str, Tensor]
    under: str = ""
    left_out: tuple[str, ...] = ()
    holes: bool = False


def kind_of(path: Path) -> Kind:
    """What a file is, by its first bytes and its name. Raises `TurncoatError` for one that is not read; nothing is loaded."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise TurncoatError(f"{shown(path)}: expected a model's file, got: {error.strerror}") from None
    if not start:
        raise TurncoatError(f"{shown(path)}: expected a model's file, got an empty one")
    suffix = path.suffix.lower()
    if start[:2] == b"PK":
        _check_archive(path)
        return "checkpoint"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 100 << 20:
        return "safetensors"
    if start[:1] == b"\x80":
        return "checkpoint"
    if suffix == ".onnx":
        return "onnx"
    if suffix == ".safetensors":
        raise TurncoatError(f"{shown(path)}: expected a safetensors file, got one that begins with {start!r}; fetch it again?")
    if suffix in CHECKPOINTS:
        raise TurncoatError(f"{shown(path)}: expected what torch.save wrote, got a file that begins with {start!r}")
    raise TurncoatError(
        f"{shown(path)}: expected a trial's folder, .safetensors, .pth, .pt, .bin or .onnx, got '{shown(suffix)}'; {INSTEAD}"
    )


def _check_archive(path: Path) -> None:
    """A zip may be a state dict, but also a program. Nothing in it is loaded here."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError) as error:
        raise TurncoatError(
            f"{shown(path)}: expected a whole file, got a damaged one ({shown(error)}); fetch it again?"
        ) from None
    names = [entry.filename.partition("/")[2] or entry.filename for entry in entries]
    if any(name == "constants.pkl" or name.startswith("code/") for name in names):
        raise TurncoatError(f"{shown(path)}: a TorchScript archive holds a program, which is never loaded; {INSTEAD}")
    if any(name in ("archive_format", "serialized_exported_program.json") or name.startswith("models/") for name in names):
        raise TurncoatError(f"{shown(path)}: an exported program (.pt2) can run code when loaded; {INSTEAD}")
    if "data.pkl" not in names:
        listed = ", ".join(entry.filename for entry in entries[:_NAMED])
        raise TurncoatError(f"{shown(path)}: expected what torch.save wrote, got an archive of {shown(listed) or 'nothing'}")
    for entry in entries:
        if entry.file_size > max(_LIMIT, _RATIO * entry.compress_size):
            raise TurncoatError(f"{shown(path)}: expected at most {_RATIO} times its packed size, got a decompression bomb")


def read_state(path: Path, kind: Kind) -> State:
    """The tensors of a safetensors file, or of what ``torch.save`` wrote, by the restricted loader alone.

    Raises `TurncoatError` for anything but tensors in plain containers, naming what it wanted to run.
    """
    if kind == "safetensors":
        try:
            return State(load_file(str(path)))
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise TurncoatError(
                f"{shown(path)}: expected a whole safetensors file, got: {shown(error)}; fetch it again?"
            ) from None
    try:
        return _find_state(_load_restricted(path, ()), path)
    except _RefusedError as error:
        beside = sorted(_wanted(path))
        if not beside or not all(name.startswith(_BESIDE) for name in beside):
            raise
        try:
            found = _find_state(_load_restricted(path, beside), path)
        except TurncoatError:
            raise error from None
        if found.holes:
            raise
        return replace(found, left_out=tuple(beside))


class _RefusedError(TurncoatError):
    """The restricted loader would have had to run something."""


class _LeftOut:
    """Stands in a loaded file for what is not read; made with anything, it keeps and does nothing."""

    def __new__(cls, *_args: object, **_named: object) -> Self:
        return object.__new__(cls)

    def __init__(self, *_args: object, **_named: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


def _load_restricted(path: Path, left_out: Sequence[str]) -> object:
    """What ``torch.save`` wrote, with a `_LeftOut` in the place of every object of the names ``left_out``."""
    names = {*left_out, *(name.replace("__builtin__", "builtins") for name in left_out)}  # as Python 2 called them
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([(_LeftOut, name) for name in names]):
            warnings.simplefilter("ignore")  # of unusual pickles, which are read or refused all the same
            return cast(object, torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        wanted = sorted(_wanted(path))
        if not wanted:
            first = shown(str(error).splitlines()[0])[:200]
            raise _RefusedError(
                f"{shown(path)}: expected tensors in plain containers, got a pickle refused as unsafe: {first}"
            ) from None
        more = f" and {len(wanted) - _NAMED} more" if len(wanted) > _NAMED else ""
        raise _RefusedError(
            f"{shown(path)}: expected tensors alone, got a pickle that wants to run {shown(', '.join(wanted[:_NAMED]))}{more}; "
            f"nothing was run. Whoever trusts it may load it and save its state_dict() as safetensors"
        ) from None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, MemoryError) as error:
        why = first_line(error)
        raise TurncoatError(f"{shown(path)}: expected what torch.save wrote, got a damaged or cut file ({why})") from None


def _wanted(path: Path) -> set[str]:
    """What a pickle would import, read from its instructions without following them."""
    try:
        return set(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
    except (ValueError, RuntimeError, OSError, pickle.UnpicklingError):
        return _globals_of(path.read_bytes())


def _globals_of(data: bytes) -> set[str]:
    """As above, of pickles one after the other, as torch wrote them before it wrote archives."""
    found: set[str] = set()
    stream, recent = io.BytesIO(data), list[str]()
    try:
        while stream.tell() < len(data):
            for code, argument, _ in pickletools.genops(stream):
                if code.name in ("GLOBAL", "INST"):
                    found.add(str(argument).replace(" ", "."))
                elif code.name == "STACK_GLOBAL" and len(recent) > 1:
                    found.add(".".join(recent[-2:]))
                elif isinstance(argument, str):
                    recent.append(argument)
    except ValueError:
        pass  # where the pickles end, or were never any
    return {name for name in found if not re.match(r"(torch\.(\w*Storage|_utils\._rebuild_\w+)|collections\.OrderedDict)$", name)}


def _find_state(loaded: object, path: Path) -> State:
    """The first mapping of tensors in what was loaded: itself, or under one of `STATES`."""
    found = _search(loaded, "", _DEPTH)
    if found is None:
        got = f"a {type(loaded).__name__}"
        if isinstance(loaded, Mapping):
            keys = map(str, list(cast("Mapping[object, object]", loaded))[:_NAMED])
            got = f"one with the keys {shown(', '.join(keys)) or '(none)'}"
        raise TurncoatError(f"{shown(path)}: expected a state dict, as it is or under {', '.join(STATES[:5])}, ..., got {got}")
    for name, tensor in found.tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise TurncoatError(f"{shown(path)}: expected plain tensors, got a {_in_words(tensor)} one as {shown(name)}")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise TurncoatError(f"{shown(path)}: {shown(name)} claims {tuple(tensor.shape)}, more than the file holds")
    return found


def _in_words(tensor: Tensor) -> str:
    return "quantised" if tensor.is_quantized else str(tensor.layout if tensor.device.type == "cpu" else tensor.device)


def _search(value: object, under: str, depth: int) -> State | None:
    if not isinstance(value, Mapping) or depth == 0:
        return None
    items = cast("Mapping[object, object]", value)
    tensors = {name: _plain(v) for name, v in items.items() if isinstance(name, str) and isinstance(v, Tensor)}
    if any(tensor.ndim > 1 for tensor in tensors.values()):
        return State(tensors, under, holes=any(isinstance(value, _LeftOut) for value in items.values()))
    for key in STATES:
        found = _search(items.get(key), f"{under}.{key}".removeprefix("."), depth - 1)
        if found is not None:
            return found
    return None


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach() if isinstance(tensor, nn.Parameter) else tensor


def first_line(error: BaseException) -> str:
    """An error of someone else's code on one line."""
    lines = str(error).strip().splitlines()
    return shown(lines[0])[:300] if lines else type(error).__name__
