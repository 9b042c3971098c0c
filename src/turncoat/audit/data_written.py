"""A data set's audit as files: suspects, the scores of all, one JSON object, the page; and the set without the suspects."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from turncoat.attacks.pngfolder import whole_folder
from turncoat.audit.data import DataAudit
from turncoat.audit.data_page import by_class, listed, sheet
from turncoat.errors import TurncoatError, shown
from turncoat.report.sheet import write_sheet

SUSPECTS, SCORES, AUDIT, PAGE, CLEANED = "suspects.csv", "scores.csv", "audit.json", "report.html", "cleaned"


def write_data_audit(audit: DataAudit, out: Path, name: str) -> dict[str, object]:
    """Write the four files into ``out`` and return the JSON object. name: of the data set, for the page's title."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        _table(
            out / SUSPECTS, ("file", "given_label", "likely_label", "score", "probability", "method", "reason"), _suspects(audit)
        )
        scores = cast(list[float], audit.scores.tolist())
        _table(out / SCORES, ("file", "score"), ((n, f"{s:.12g}") for n, s in zip(audit.names, scores, strict=True)))
        found = as_json(audit)
        _whole(out / AUDIT, json.dumps(found, allow_nan=False))
    except OSError as error:
        raise TurncoatError(f"{shown(out)}: could not be written: {error.strerror or error}") from error
    write_sheet(out / PAGE, sheet(audit, name))
    return found


def as_json(audit: DataAudit) -> dict[str, object]:
    """The audit as one JSON object, with the scores of all images."""
    combined, classes = audit.combined, audit.data.classes
    return {
        "verdict": audit.verdict,
        "images": len(audit.names),
        "estimated": audit.estimated,
        "suspects": len(audit.suspects),
        "false_discovery_rate": audit.false_discovery_rate,
        "to_inspect": audit.to_inspect,
        "told_by": [method.name for method in combined.told],
        "classes": list(classes),
        "suspects_by_class": dict(zip(classes, by_class(audit, audit.suspects), strict=True)),
        "methods": [
            {
                "name": one.method.name,
                "looks_for": one.method.looks_for,
                "stands_out": one.stands_out,
                "all_labels": -1 in one.classes,
                "in_classes": [classes[label] for label in one.classes if label >= 0],
                "estimated": one.estimated,
                "seconds": audit.methods[one.method.name],
            }
            for one in combined.evaluated
        ],
        "annotators": [vars(one) for one in audit.annotators],
        "seconds": audit.seconds,
        "shared_seconds": audit.shared,
        "scores": dict(zip(audit.names, cast(list[float], audit.scores.tolist()), strict=True)),
    }


def write_cleaned(audit: DataAudit, out: Path) -> tuple[Path, int]:
    """Write the data set without the suspects; the folder and how many images it has. Files stay as they are, under their names.

    A set without files becomes ``data.npz``. A ``test/`` (or ``val/``) beside ``train/`` is copied whole.
    """
    keep = torch.ones(len(audit.names), dtype=torch.bool)
    keep[audit.suspects] = False
    kept = cast(list[int], keep.nonzero().squeeze(1).tolist())
    root = audit.source.root
    with whole_folder(out) as folder:
        if root is None:
            _write_npz(audit, keep, folder / "data.npz")
        else:
            for sample in kept:
                target = folder / audit.names[sample]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / audit.names[sample], target)
            if audit.source.table:
                labels = (audit.data.classes[int(audit.data.labels[i])] for i in kept)
                _table(folder / "labels.csv", ("file", "label"), zip((audit.names[i] for i in kept), labels, strict=True))
            for name in ("test", "val", "valid", "validation"):
                if (root / "train").is_dir() and (root / name).is_dir():
                    shutil.copytree(root / name, folder / name)
    return out, len(kept)


def _write_npz(audit: DataAudit, keep: Tensor, path: Path) -> None:
    train, test = audit.data.subset(keep), audit.source.test
    arrays = {"x_train": train.images.numpy(), "y_train": train.labels.numpy(), "classes": np.array(train.classes)}
    if test is not None:
        arrays |= {"x_test": test.images.numpy(), "y_test": test.labels.numpy()}
    np.savez(path, allow_pickle=False, **arrays)


def _suspects(audit: DataAudit) -> Iterable[Sequence[object]]:
    classes, combined = audit.data.classes, audit.combined
    for sample in cast(list[int], listed(audit).tolist()):
        method, says = audit.reason(sample)
        given, likely = classes[int(audit.data.labels[sample])], classes[int(audit.likely[sample])]
        score, probability = f"{float(audit.scores[sample]):.6g}", f"{float(combined.probability[sample]):.4g}"
        reason = says if combined.stands_out else f"nothing stands out; of all that ranks first: {says}"
        yield audit.names[sample], given, likely, score, probability, method, reason


def _table(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8", errors="backslashreplace", newline=""
    ) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    _put(Path(file.name), path)


def _whole(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8") as file:
        file.write(text)
    _put(Path(file.name), path)


def _put(partial: Path, path: Path) -> None:
    partial.chmod(0o644)  # a temporary file is readable to its writer alone
    partial.replace(path)
