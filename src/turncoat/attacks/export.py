"""Writing a poisoned set to disk for other people's training code and detectors, with the answer kept apart."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from turncoat import __version__
from turncoat.attacks.base import Attack, FittedAttack, Poisoned
from turncoat.attacks.goals import Untargeted
from turncoat.attacks.pngfolder import folder_name, write_pngs
from turncoat.attacks.triggered import triggered
from turncoat.data.imageset import ImageSet, Splits
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress, silent
from turncoat.seeds import generator

_HOW = (
    "manifest.csv: the truth about the files in train/. test-triggered/: the images of test/ with the trigger, in the folders of their "
    "true classes. Attack success rate: over the rows of test-triggered.csv with counted = 1, the share whose predicted class is the "
    "target (where target is empty: any class but true_label)."
)


@dataclass(frozen=True)
class Written:
    """What `write_poisoned` wrote: where, and how many images of each kind."""

    folder: Path
    truth: Path
    train: int
    test: int
    poisoned: int
    cover: int


def write_poisoned(data: Splits, attack: Attack, out: Path, seed: int = 0, progress: Progress = silent) -> Written:
    """Poison ``data.train`` and write it as PNG files, which hold exactly the same pixels as in memory.

    ``out`` gets ``train/CLASS/NUMBER.png`` under the given labels and the clean ``test/CLASS/NUMBER.png``, shuffled; nothing in it tells
    poisoned files from others but their pixels. ``out.truth`` beside it gets ``manifest.csv`` (file, true_label, given_label,
    poisoned, cover), the triggered test images with ``test-triggered.csv``, and ``attack.json``. The poison is that of a trial with
    the same seed. Both folders appear whole or not at all. Raises `TurncoatError` where one is there already and not empty,
    where the attack does not fit the data, and where the disk refuses.
    """
    out = out.expanduser().resolve()
    truth = out.with_name(out.name + ".truth") if out.name else out
    for folder in (out, truth):
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise TurncoatError(f"{shown(folder)}: is there already; name a new folder with --out, or remove this one")
    folders = [folder_name(name) for name in data.train.classes]
    fitted = attack.fit(data.train, generator(seed, "poison"))
    poisoned = fitted.poison(data.train)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
        try:
            _write(data, poisoned, fitted, seed, folders, partial, progress)
            _publish([(partial / "truth", truth), (partial / "data", out)])
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise TurncoatError(f"{shown(out)}: could not be written: {error.strerror or error}") from error
    counts = int(poisoned.poisoned.sum()), int(poisoned.cover.sum())
    return Written(out, truth, len(data.train), len(data.test), *counts)


def _publish(moves: Sequence[tuple[Path, Path]]) -> None:
    moved: list[Path] = []
    try:
        for source, target in moves:
            if target.exists():
                target.rmdir()
            source.rename(target)
            moved.append(target)
    except BaseException:
        for target in moved:
            shutil.rmtree(target, ignore_errors=True)
        raise


def _write(
    data: Splits, poisoned: Poisoned, fitted: FittedAttack, seed: int, folders: Sequence[str], partial: Path, progress: Progress
) -> None:
    draw = generator(seed, "export")
    classes = data.train.classes
    root, truth = partial / "data", partial / "truth"
    for split in (root / "train", root / "test", truth / "test-triggered"):
        split.mkdir(parents=True)
        for folder in folders:
            (split / folder).mkdir()

    order = torch.randperm(len(data.train), generator=draw)
    files = _files("train", poisoned.data.subset(order).labels, folders)
    write_pngs(root, files, poisoned.data.images[order], progress, "writing train/")
    given = [classes[label] for label in poisoned.data.labels[order].tolist()]
    true = [classes[label] for label in poisoned.true_labels[order].tolist()]
    flags = poisoned.poisoned[order].int().tolist(), poisoned.cover[order].int().tolist()
    _write_table(
        truth / "manifest.csv",
        ("file", "true_label", "given_label", "poisoned", "cover"),
        zip(files, true, given, *flags, strict=True),
    )

    test = data.test.subset(torch.randperm(len(data.test), generator=draw))
    clean = _files("test", test.labels, folders)
    write_pngs(root, clean, test.images, progress, "writing test/")
    _write_triggered(truth, test, clean, fitted, generator(seed, "test"), progress)
    (truth / "attack.json").write_text(
        json.dumps(_description(data, poisoned, fitted, seed, folders), indent=2, ensure_ascii=True), encoding="utf-8"
    )


def _write_triggered(
    truth: Path, test: ImageSet, clean: Sequence[str], fitted: FittedAttack, draw: torch.Generator, progress: Progress
) -> None:
    targets = fitted.goal.targets(test.labels, len(test.classes), draw)
    shown_images = triggered(fitted, test.images, test.labels, targets, draw)
    files = [file.replace("test/", "test-triggered/", 1) for file in clean]
    write_pngs(truth, files, shown_images, progress, "writing test-triggered/")
    any_wrong = isinstance(fitted.goal, Untargeted)
    _write_table(
        truth / "test-triggered.csv",
        ("file", "clean_file", "true_label", "target", "counted"),
        zip(
            files,
            clean,
            [test.classes[label] for label in test.labels.tolist()],
            ["" if any_wrong else test.classes[label] for label in targets.tolist()],
            fitted.goal.counted(test.labels).int().tolist(),
            strict=True,
        ),
    )


def _files(split: str, labels: Tensor, folders: Sequence[str]) -> list[str]:
    """Numbered through the whole split, so that a number tells nothing about its class."""
    digits = max(6, len(str(len(labels))))
    return [f"{split}/{folders[label]}/{number:0{digits}}.png" for number, label in enumerate(labels.tolist())]


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _description(data: Splits, poisoned: Poisoned, fitted: FittedAttack, seed: int, folders: Sequence[str]) -> dict[str, object]:
    attack = fitted.attack
    return {
        "turncoat": __version__,
        "how": _HOW,
        "attack": attack.model_dump(mode="json"),
        "version": type(attack).version,
        "paper": attack.paper,
        "threat_model": attack.threat_model,
        "clean_label": attack.clean_label,
        "goal": fitted.goal.model_dump(mode="json"),
        "seed": seed,
        "classes": list(data.train.classes),
        "folders": list(folders),
        "source": {"fingerprint": data.fingerprint, "train": len(data.train), "test": len(data.test)},
        "poisoned": int(poisoned.poisoned.sum()),
        "cover": int(poisoned.cover.sum()),
        "rate": poisoned.rate,
        "relabelled": poisoned.relabelled,
    }
