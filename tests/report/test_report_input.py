"""Input that is not what it should be: one line that names the file."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from report_records import Make, document
from typer.testing import CliRunner

from turncoat.cli.report import register
from turncoat.errors import TurncoatError
from turncoat.report import read
from turncoat.report.page import write_report


def complaint(store: Path) -> str:
    with pytest.raises(TurncoatError) as caught:
        write_report(store)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    assert not (store / "report.html").exists()
    return message


def change(path: str, value: object) -> dict[str, Any]:
    record: Any = document("a")
    place, keys = record, path.split(".")
    for key in keys[:-1]:
        place = place[int(key) if key.isdecimal() else key]
    if value is KeyError:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return record


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("schema", 2, "schema: Input should be 1, got 2"),
        ("status", "fine", "status: Input should be 'done' or 'diverged', got 'fine'"),
        ("config", KeyError, "config: Field required"),
        ("config.seed", "0", "config.seed is a whole number, not '0'"),
        ("attack.name", 7, "attack.name: Input should be a valid string, got 7"),
        ("data.classes", [], "data.classes: List should have at least 1 item"),
        ("data.shape", [1, 8], "data.shape: List should have at least 3 items"),
        ("data.train", -1, "data.train: Input should be greater than or equal to 0, got -1"),
        ("poison.rate", 1.5, "poison.rate: Input should be less than or equal to 1, got 1.5"),
        ("rows", [], "rows have no asr of the victim, though the trial is done"),
        ("rows.5.value", 97.3, "rows.5: ca is a share in [0, 1], not 97.3"),
        ("rows.5.value", "0.9", "rows.5.value: Input should be a valid number, got '0.9'"),
        ("history", {"victim": [{"loss": 1.0}]}, "history.victim.0.epoch: Field required"),
        ("samples.0.victim.triggered", [99, 0.5], "samples name class 99, but data.classes has 3"),
        ("samples.0.victim.triggered", [0, 1.5], "less than or equal to 1, got 1.5"),
    ],
)
def test_odd_records(make: Make, path: str, value: object, words: str) -> None:
    message = complaint(make(change(path, value)))
    assert "trials/a/trial.json: " in message
    assert words in message


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b"\xff\xfe", b"[" * 100_000, b'{"key": "\\ud800"}', b"null"],
    ids=["empty", "cut", "list", "not-text", "deep", "surrogate", "null"],
)
def test_not_a_record(make: Make, content: bytes) -> None:
    store = make(document("a"))
    (store / "trials" / "a" / "trial.json").write_bytes(content)
    assert "trials/a/trial.json: " in complaint(store)


def test_too_large_a_record(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_JSON", 1000)
    assert "expected at most" in complaint(make(document("a")))


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


GOOD = npy(np.zeros((8, 1, 8, 8), np.uint8))


class Trap:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was run",))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"clean.npy": GOOD}, "triggered.npy"),
        ({"clean.npy": GOOD, "triggered.npy": npy(np.zeros((7, 1, 8, 8), np.uint8))}, "triggered: expected shape (8, 1, 8, 8)"),
        ({"clean.npy": npy(np.zeros((8, 1, 8, 8))), "triggered.npy": GOOD}, "clean is float64"),
        ({"clean.npy": npy(np.array([Trap()], dtype=object)), "triggered.npy": GOOD}, "clean is object"),
        ({"clean.npy": GOOD[:-9], "triggered.npy": GOOD}, "cannot reshape"),
        ({"clean.npy": GOOD[:90], "triggered.npy": GOOD}, "expected clean and triggered uint8 images"),
        (
            {"clean.npy": GOOD.replace(b"(8, 1,", b"(8, 1" + b"0" * 9 + b","), "triggered.npy": GOOD},
            "expected clean and triggered",
        ),
        ({"clean.npy": b"text", "triggered.npy": GOOD}, "expected clean and triggered uint8 images"),
    ],
    ids=["missing", "count", "dtype", "pickle", "short", "cut-header", "huge-header", "text"],
)
def test_odd_samples(make: Make, members: dict[str, bytes], words: str) -> None:
    store = make(document("a"))
    path = store / "trials" / "a" / "samples.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    message = complaint(store)
    assert "samples.npz: " in message
    assert words in message


def test_samples_that_are_no_archive_or_a_bomb(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(document("a"))
    monkeypatch.setattr(read, "MAX_SAMPLES", 500)
    assert "more than" in complaint(store)
    (store / "trials" / "a" / "samples.npz").write_bytes(b"PK but no")
    assert "samples.npz: expected clean and triggered uint8 images: File is not a zip file" in complaint(store)


def test_nothing_there(tmp_path: Path) -> None:
    assert "expected trials/KEY/trial.json or trial.json in it, found neither" in complaint(tmp_path)
    assert "found none; check the path" in complaint(tmp_path / "missing")


def test_command(make: Make, tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    store = make(document("a"))
    result = CliRunner().invoke(app, ["report", str(store)])
    assert (result.exit_code, result.output.strip()) == (0, str(store / "report.html"))
    result = CliRunner().invoke(app, ["report", str(store), "--out", str(tmp_path / "x.html")])
    assert result.exit_code == 0
    assert (tmp_path / "x.html").is_file()
    result = CliRunner().invoke(app, ["report", str(tmp_path / "none")])
    assert isinstance(result.exception, TurncoatError)


def test_no_torch_is_imported(make: Make) -> None:
    code = (
        "import sys; from pathlib import Path; from turncoat.report.page import write_report; "
        "write_report(Path(sys.argv[1])); print('torch' in sys.modules)"
    )
    store = make(document("a"))
    done = subprocess.run([sys.executable, "-c", code, str(store)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
