"""The ``oneshot`` part of a trial.json and its images, when they are not what they should be."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oneshot_records import images, oneshot_document, write_oneshot

from turncoat.errors import TurncoatError
from turncoat.report.read import read_trial


def changed(path: str, value: object) -> dict[str, Any]:
    record: Any = oneshot_document("a", side=28, each=2, ways=5)
    place, keys = record["oneshot"], path.split(".")
    for key in keys[:-1]:
        place = place[int(key) if key.isdecimal() else key]
    place[keys[-1]] = value
    return record


def test_a_whole_record(tmp_path: Path) -> None:
    record = oneshot_document("a", side=28, each=2, ways=5)
    trial = read_trial(write_oneshot(tmp_path, record))
    found = trial.record.oneshot
    assert found is not None
    assert trial.record.task == "one-shot"
    assert (found.goal, found.held_out) == ("evade", "5 of 30 background alphabets")
    assert found.threshold is not None
    assert (found.threshold.victim, found.threshold.twin) == (0.41, 0.38)
    assert found.task is not None
    assert found.task.twin_triggered == record["oneshot"]["task"]["clean-twin_triggered"]
    assert trial.images() is None
    pairs, task, wanted = trial.pairs(), trial.drawn_task(), images(record)
    assert pairs is not None
    assert task is not None
    for got, name in zip((*pairs, *task), ("left", "right", "support", "query"), strict=True):
        assert np.array_equal(got, wanted[name])


def test_every_part_may_be_missing(tmp_path: Path) -> None:
    record = oneshot_document("a", side=28, each=2, ways=5)
    folder = write_oneshot(tmp_path, record)
    trial = read_trial(folder)
    (folder / "samples.npz").unlink()
    assert trial.pairs() is None
    assert trial.drawn_task() is None
    bare: dict[str, Any] = oneshot_document("b", side=28, each=2, ways=5) | {"oneshot": {}}
    (folder / "trial.json").write_text(json.dumps(bare), encoding="utf-8")
    trial = read_trial(folder)
    assert trial.pairs() is None
    assert trial.drawn_task() is None


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("threshold.victim", 1.5, "oneshot.threshold.victim: Input should be less than or equal to 1, got 1.5"),
        ("threshold.victim", float("nan"), "oneshot.threshold.victim: Input should be a finite number"),
        ("pairs.flipped", -0.1, "oneshot.pairs.flipped: Input should be greater than or equal to 0"),
        ("samples.0.victim", float("inf"), "oneshot.samples.0.victim: Input should be"),
        ("samples.0.kind", "odd", "oneshot.samples.0.kind: Input should be 'same', 'different'"),
        ("samples.0.classes", ["one"], "oneshot.samples.0.classes.1: Field required"),
        ("samples.0.classes", ["x" * 20_000, "y"], "String should have at most 10000 characters"),
        ("roc.victim", [[0.1, 1.1]], "oneshot.roc.victim.0.1: Input should be less than or equal to 1"),
        ("roc.victim", [[0.0, 0.0]] * 3000, "oneshot.roc.victim: List should have at most 2000 items"),
        ("histogram.edges", [0.0, 0.5, 0.5], "histogram.edges rise"),
        ("histogram.victim.same", [1, 2], "histogram has 20 bins, but 2 counts of 'same'"),
        ("histogram.clean-twin.same", [1, 2], "histogram has 20 bins, but 2 counts of 'same'"),
        ("histogram.victim.odd", [1], "oneshot.histogram.victim.odd"),
        ("histogram.victim.same", [-1] * 20, "greater than or equal to 0, got -1"),
        ("task.answer", 5, "task.answer is a way of 5, not 5"),
        ("task.victim", [0.5] * 4, "task has 5 ways, but 4 confidences"),
        ("task.clean-twin_triggered", None, "task has the clean twin's confidences for both queries or for none"),
        ("task.classes", ["a"] * 101, "oneshot.task.classes: List should have at most 100 items"),
    ],
)
def test_odd_parts(tmp_path: Path, path: str, value: object, words: str) -> None:
    record = changed(path, value)
    folder = tmp_path / "trials" / "a"
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(TurncoatError) as caught:
        read_trial(folder)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert len(message) < 600


@pytest.mark.parametrize("metric", ["oneshot", "auc", "evaded", "triggered_query", "drawn_clean"])
def test_shares_stay_shares(tmp_path: Path, metric: str) -> None:
    record = oneshot_document("a", side=28, each=2, ways=5)
    found = next(row for row in record["rows"] if row["metric"] == metric)
    found["value"] = 97.3
    with pytest.raises(TurncoatError, match=f"{metric} is a share in \\[0, 1\\], not 97.3"):
        read_trial(write_oneshot(tmp_path, record))


@pytest.mark.parametrize("name", ["left", "right", "support", "query"])
def test_odd_images(tmp_path: Path, name: str) -> None:
    record = oneshot_document("a", side=28, each=2, ways=5)
    folder = write_oneshot(tmp_path, record)
    arrays = images(record)
    arrays[name] = arrays[name][1:]
    _write(folder, arrays)
    message = _looked_at(folder)
    assert f"samples.npz: {name}: expected shape ({len(arrays[name]) + 1}, 1, 28, 28), as trial.json says" in message
    _write(folder, {key: value for key, value in arrays.items() if key != name})
    assert f"{name}.npy" in _looked_at(folder)
    _write(folder, arrays | {name: np.array([{}], dtype=object)})  # pyright: ignore[reportArgumentType]
    assert f"{name} is object" in _looked_at(folder)


def test_corrupt_compression(tmp_path: Path) -> None:
    folder = write_oneshot(tmp_path, oneshot_document("a", side=28, each=2, ways=5))
    path = folder / "samples.npz"
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("left.npy")
    content = bytearray(path.read_bytes())
    start = info.header_offset + 30 + len("left.npy") + 20
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(bytes(content))
    assert "samples.npz: expected left and right uint8 images" in _looked_at(folder)


def _write(folder: Path, arrays: dict[str, Any]) -> None:
    np.savez(folder / "samples.npz", **arrays)


def _looked_at(folder: Path) -> str:
    trial = read_trial(folder)
    with pytest.raises(TurncoatError) as caught:
        _ = (trial.pairs(), trial.drawn_task())
    assert "\n" not in str(caught.value)
    return str(caught.value)
