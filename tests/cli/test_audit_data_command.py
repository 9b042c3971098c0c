"""``turncoat audit-data`` and ``turncoat score`` on poisoned digits, from the shell's side."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from turncoat.cli import app

PIXELS = ["--methods", "duplicate-patch,common-component"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits with BadNets of 5%, and the truth beside them."""
    out = tmp_path_factory.mktemp("audit-data") / "set"
    done = CliRunner().invoke(app, ["poison", "digits", "--attack", "{name: badnets, rate: 0.05}", "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def audited(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    out = tmp_path_factory.mktemp("audit-data-out") / "audit"
    done = CliRunner().invoke(app, ["audit-data", str(digits), "--out", str(out), "--drop", "--json", *PIXELS])
    assert done.exit_code == 3, done.output
    return out, json.loads(done.stdout)


def truth(digits: Path) -> dict[str, bool]:
    with (digits.with_name("set.truth") / "manifest.csv").open(newline="") as file:
        return {row["file"]: row["poisoned"] == "1" for row in csv.DictReader(file)}


def test_poison_is_found_by_the_names_of_its_files(digits: Path, audited: tuple[Path, dict[str, object]]) -> None:
    out, found = audited
    assert found["verdict"] == "suspicious"
    known, scores = truth(digits), found["scores"]
    assert isinstance(scores, dict) and set(scores) == set(known)
    with (out / "suspects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) >= {"file", "given_label", "likely_label", "score", "reason"}
    first = [known[row["file"]] for row in rows[:60]]
    assert sum(first) / len(first) > 0.9
    assert (out / "report.html").read_text().startswith("<!")


def test_the_cleaned_set_lacks_the_suspects_alone_and_loads(digits: Path, audited: tuple[Path, dict[str, object]]) -> None:
    out, found = audited
    kept = {path.relative_to(out / "cleaned").as_posix() for path in (out / "cleaned" / "train").rglob("*.png")}
    known = truth(digits)
    assert len(kept) == len(known) - int(str(found["suspects"]))
    assert sum(known[name] for name in kept) < 0.2 * sum(known.values())
    import turncoat

    assert len(turncoat.load(f"folder:{out / 'cleaned'}").train) == len(kept)


@pytest.mark.parametrize("file", ["audit.json", "scores.csv"])
def test_score_tells_how_well(digits: Path, audited: tuple[Path, dict[str, object]], file: str) -> None:
    done = CliRunner().invoke(app, ["score", str(audited[0] / file), str(digits.with_name("set.truth")), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["auroc"]["value"] > 0.97 and found["n"] == 1437 and found["poisoned"] == 72
    assert found["auroc"]["low"] < found["auroc"]["value"] <= found["auroc"]["high"]


def test_the_screen_says_what_how_many_and_where(digits: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["audit-data", str(digits), "--out", str(tmp_path), *PIXELS])
    assert done.exit_code == 3, done.output
    first, why, *rest = done.stdout.splitlines()
    assert first.startswith("suspicious: About 7") and "(4.9%), all of them in class '0'" in first
    assert why.startswith("Why: has the same pixels")
    assert "no suspects in the other 9 classes" in rest
    assert any(line.startswith("suspects ") and "suspects.csv" in line for line in rest)


def test_nothing_stands_out_in_clean_digits(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["audit-data", "digits", "--out", str(tmp_path), *PIXELS])
    assert done.exit_code == 0, done.output
    assert "Nothing stands out" in done.stdout


def test_suspects_are_attributed(digits: Path, tmp_path: Path) -> None:
    who = tmp_path / "who.csv"
    lines = [f"{name},{'eve' if bad or i % 4 == 0 else 'ann'}" for i, (name, bad) in enumerate(truth(digits).items())]
    who.write_text("\n".join(["file,annotator", *lines]))
    done = CliRunner().invoke(app, ["audit-data", str(digits), "--out", str(tmp_path / "a"), "--by", str(who), "--json", *PIXELS])
    first, second = json.loads(done.stdout)["annotators"]
    assert first["name"] == "eve" and first["p_value"] < 1e-6
    assert second["name"] == "ann" and second["p_value"] > 0.5


def test_a_table_of_scores_by_hand(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("file,score\nc/1.png,0.9\nc/2.png,0.1\nc/3.png,0.5\nx.png,1\n")
    (tmp_path / "t.csv").write_text("file,poisoned,cover\ntrain/c/1.png,1,0\ntrain/c/2.png,0,0\ntrain/c/3.png,0,1\n")
    done = CliRunner().invoke(app, ["score", str(tmp_path / "s.csv"), str(tmp_path / "t.csv"), "--json"])
    found = json.loads(done.stdout)
    assert found["auroc"]["value"] == 1.0
    assert (found["n"], found["cover"], found["unknown"], found["unscored"]) == (2, 1, 1, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["audit-data", "{tmp}/none"], "expected"),
        (["audit-data", "digits", "--methods", "spectrl", "--out", "{tmp}/x"], "did you mean"),
        (["score", "{tmp}/none.csv", "{tmp}/none.csv"], "none.csv"),
        (["score", "{tmp}/nan.csv", "{tmp}/nan.csv"], "finite number"),
        (["score", "{tmp}/a.csv", "{tmp}/b.csv"], "none in both"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "nan.csv").write_text("file,score\na,nan\n")
    (tmp_path / "a.csv").write_text("file,score\na,1\n")
    (tmp_path / "b.csv").write_text("file,poisoned\nb,1\n")
    done = CliRunner().invoke(app, [argument.replace("{tmp}", str(tmp_path)) for argument in arguments])
    assert done.exit_code == 2
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
