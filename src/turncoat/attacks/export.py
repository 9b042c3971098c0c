"""Writing a poisoned set to disk for other people's training code and detectors, with the answer kept apart."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from turncoat import __version__
from turncoat.attacks.base import Attack, FittedAttack, Poisoned
from turncoat.attacks.goals import Untargeted
from turncoat.attacks.pngfolder import folder_name, write_pngs
from turncoat.attacks.triggered import triggered
from turncoat.data.imageset import Splits
from turncoat.errors import TurncoatError, shown
from turncoat.progress import Progress, silent
from turncoat.seeds import generator

_HOW = (
    "manifest.csv tells the truth about the files in train/. test-triggered/ holds the images of test/ with the trigger, in the "
    "folders of their true classes. Attack success rate: over the rows of test-triggered.csv with counted = 1, the share whose "
    "predicted class is the target (where target is empty: any class but true_label)."
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

    ``out`` gets ``train/CLASS/NUMBER.png`` under the given labels and the clean ``test/CLASS/NUMBER.png``, shuffled; nothing in
    it tells poisoned files from others but their pixels. ``out.truth`` beside it gets ``manifest.csv`` (file, true_label,
    given_label, poisoned, cover), the triggered test images with ``test-triggered.csv``, and ``attack.json``. The poison is that
    of a trial with the same seed. Both folders appear whole or not at all. Raises `TurncoatError` where one is there already and
    not empty, where the attack does not fit the data, and where the disk refuses.
    """
    out = out.expanduser().resolve()
    truth = out.with_name(out.name + ".truth") if out.name else out
    for folder in (out, truth):
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise TurncoatError(f"{shown(folder)}: is there already; name a new folder with --out, or remove this one")
    folders = [folder_name(name) for name in data.train.classes]
    fitted = attack.fit(data.train, generator(seed, "poison"))
    poisoned = fitted.poison(data.train)
    if not poisoned.poisoned.any():
        raise TurncoatError(f"{attack.name}: takes part in the training and poisons no stored image; plant it with turncoat run")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
        try:
            _Export(data, poisoned, fitted, seed, folders, partial, progress).write()
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


@dataclass(frozen=True)
class _Export:
    """Writes ``partial/data`` and ``partial/truth``."""

    data: Splits
    poisoned: Poisoned
    fitted: FittedAttack
    seed: int
    folders: Sequence[str]
    partial: Path
    progress: Progress

    def write(self) -> None:
        root, truth = self.partial / "data", self.partial / "truth"
        for split in (root / "train", root / "test", truth / "test-triggered"):
            split.mkdir(parents=True)
            for folder in self.folders:
                (split / folder).mkdir()
        draw = generator(self.seed, "export")
        self._train(root, truth, torch.randperm(len(self.data.train), generator=draw))
        self._test(root, truth, torch.randperm(len(self.data.test), generator=draw))
        document = json.dumps(self._description(), indent=2)
        (truth / "attack.json").write_text(document, encoding="utf-8")

    def _train(self, root: Path, truth: Path, order: Tensor) -> None:
        poisoned = self.poisoned
        train = poisoned.data.subset(order)
        files = _files("train", train.labels, self.folders)
        write_pngs(root, files, train.images, self.progress, "writing train/")
        true, given = self._names(poisoned.true_labels[order]), self._names(train.labels)
        flags = _numbers(poisoned.poisoned[order]), _numbers(poisoned.cover[order])
        header = ("file", "true_label", "given_label", "poisoned", "cover")
        _write_table(truth / "manifest.csv", header, zip(files, true, given, *flags, strict=True))

    def _test(self, root: Path, truth: Path, order: Tensor) -> None:
        goal, test = self.fitted.goal, self.data.test.subset(order)
        clean = _files("test", test.labels, self.folders)
        write_pngs(root, clean, test.images, self.progress, "writing test/")

        draw = generator(self.seed, "test")
        targets = goal.targets(test.labels, len(test.classes), draw)
        files = _files("test-triggered", test.labels, self.folders)
        images = triggered(self.fitted, test.images, test.labels, targets, draw)
        write_pngs(truth, files, images, self.progress, "writing test-triggered/")
        wanted = [""] * len(test) if isinstance(goal, Untargeted) else self._names(targets)
        counted = _numbers(goal.counted(test.labels))
        header = ("file", "clean_file", "true_label", "target", "counted")
        rows = zip(files, clean, self._names(test.labels), wanted, counted, strict=True)
        _write_table(truth / "test-triggered.csv", header, rows)

    def _names(self, labels: Tensor) -> list[str]:
        return [self.data.train.classes[label] for label in _numbers(labels)]

    def _description(self) -> dict[str, object]:
        attack, poisoned = self.fitted.attack, self.poisoned
        return {
            "turncoat": __version__,
            "how": _HOW,
            "attack": attack.model_dump(mode="json"),
            "version": type(attack).version,
            "paper": attack.paper,
            "threat_model": attack.threat_model,
            "clean_label": attack.clean_label,
            "goal": self.fitted.goal.model_dump(mode="json"),
            "seed": self.seed,
            "classes": list(self.data.train.classes),
            "folders": list(self.folders),
            "source": {"fingerprint": self.data.fingerprint, "train": len(self.data.train), "test": len(self.data.test)},
            "poisoned": int(poisoned.poisoned.sum()),
            "cover": int(poisoned.cover.sum()),
            "rate": poisoned.rate,
            "class_rate": poisoned.class_rate,
            "relabelled": poisoned.relabelled,
        }


def _numbers(values: Tensor) -> list[int]:
    return cast(list[int], values.long().tolist())


def _files(split: str, labels: Tensor, folders: Sequence[str]) -> list[str]:
    """Numbered through the whole split, so that a number tells nothing about its class."""
    digits = max(6, len(str(len(labels))))
    return [f"{split}/{folders[label]}/{number:0{digits}}.png" for number, label in enumerate(_numbers(labels))]


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
