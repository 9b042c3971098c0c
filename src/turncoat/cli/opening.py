"""What the commands on someone's model share: the options that say how it is opened, and the opening."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turncoat.errors import TurncoatError

if TYPE_CHECKING:
    from turncoat.data.imageset import ImageSet
    from turncoat.intake.model import Opened
    from turncoat.progress import Progress

ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A trial's folder, or a .safetensors, .pth, .pt or .onnx file; none of it is run.")
]
ArchOption = Annotated[
    str | None,
    typer.Option(
        "--arch",
        metavar="NAME",
        help="What the weights are of: a name of `turncoat list models`, timm:NAME, or package.module:factory, which is run.",
    ),
]
ShapeOption = Annotated[
    str | None, typer.Option("--shape", metavar="C,H,W", help="Of the model's images, where neither it nor the images tell.")
]
MeanOption = Annotated[
    str | None, typer.Option("--mean", metavar="M[,M,M]", help="Subtracted before the model, in units of --input-range.")
]
StdOption = Annotated[str | None, typer.Option("--std", metavar="S[,S,S]", help="Divided by, after that.")]
RangeOption = Annotated[
    str, typer.Option("--input-range", metavar="LOW,HIGH", help="What black and white are to the model: 0,255 or -1,1.")
]
CleanOption = Annotated[
    str | None,
    typer.Option("--clean", metavar="DIR", help="Images that you trust: a folder a class, an .npz file, or a data set by name."),
]


@dataclass(frozen=True, eq=False)
class Opening:
    """A model and its clean images. notes: what had to be assumed, for the reader."""

    model: Opened
    clean: ImageSet | None
    notes: tuple[str, ...]


def open_both(
    model: Path,
    clean: str | None,
    *,
    arch: str | None = None,
    shape: str | None = None,
    mean: str | None = None,
    std: str | None = None,
    input_range: str = "0,1",
    progress: Progress | None = None,
) -> Opening:
    """Open what the options say. Raises `TurncoatError` for what are no numbers, and as `open_model` and `load_clean` do."""
    from turncoat.cli.here import import_from_here
    from turncoat.intake.images import clean_shape, load_clean, told
    from turncoat.intake.model import open_model
    from turncoat.progress import silent

    if arch is not None:
        import_from_here()
    low, high = _numbers("--input-range", input_range, 2)
    given = None if shape is None else _shape(shape)
    opened = open_model(
        model,
        arch=arch,
        shape=given,
        like=None if clean is None or arch is None or given is not None else clean_shape(clean),
        mean=None if mean is None else _numbers("--mean", mean),
        std=None if std is None else _numbers("--std", std),
        input_range=(low, high),
        allow_factory=arch is not None,
    )
    if clean is None:
        return Opening(opened, None, opened.notes)
    names = opened.classes if opened.named else None
    images = load_clean(clean, opened.shape, names, progress=progress or silent)
    notes = (*opened.notes, told(clean))
    if not opened.named and not opened.one_shot:
        if len(images.classes) == len(opened.classes):
            opened = opened.with_names(images.classes)
        elif set(images.classes) <= set(opened.classes):
            images = load_clean(clean, opened.shape, opened.classes, progress=progress or silent)
            notes = (*notes, "the names of the class folders are taken as the numbers of the model's classes")
        else:
            raise TurncoatError(
                f"--clean: the model tells {len(opened.classes)} classes apart, the images have {len(images.classes)}; "
                "expected a folder for each, sorted as in its training, or some folders named by the numbers of their classes"
            )
    return Opening(opened, images, tuple(note for note in notes if note))


def _numbers(option: str, text: str, count: int | None = None) -> tuple[float, ...]:
    try:
        found = tuple(map(float, text.split(",")))
    except ValueError:
        found = ()
    if not found or (count is not None and len(found) != count):
        raise TurncoatError(f"{option}: expected {'numbers' if count is None else f'{count} numbers'} with commas, got {text!r}")
    return found


def _shape(text: str) -> tuple[int, int, int]:
    try:
        channels, height, width = map(int, text.split(","))
    except ValueError:
        raise TurncoatError(f"--shape: expected C,H,W such as 3,32,32, got {text!r}") from None
    if channels not in (1, 3) or not 1 <= min(height, width) <= max(height, width) <= 8192:
        raise TurncoatError(f"--shape: expected 1 or 3 channels and sides of 1 to 8192 pixels, got {text!r}")
    return channels, height, width
