from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from experiment_helpers import Trained, document, metric_rows

import turncoat
from turncoat import TrialConfig, TurncoatError, load, load_network, run
from turncoat.data.imageset import Splits
from turncoat.evaluate.victim import evaluate_clean
from turncoat.experiment.store import WEIGHTS, Store, open_store
from turncoat.experiment.trial import run_trial
from turncoat.train.placement import Placement


def test_a_trial_leaves_what_it_promises(finished: Path) -> None:
    trial = next(open_store(finished).trials())
    names = {path.name for path in trial.folder.iterdir()}
    assert names == {"trial.json", WEIGHTS, "manifest.csv", "samples.npz"}
    record = document(finished, trial.record.key)
    found = {(row["stage"], row["method"], row["metric"]) for row in record["rows"] if row["group"] == ""}
    for method in ("victim", "clean-twin"):
        assert {("evaluate", method, metric) for metric in ("ca", "asr", "ra")} <= found
        assert ("train", method, "peak_memory_mb") in found
        assert record["history"][method][0]["epoch"] == 1
    assert {("poison", "trigger", metric) for metric in ("psnr", "ssim", "linf", "changed")} <= found
    assert {("poison", "poison", "rate"), ("poison", "poison", "relabelled"), ("evaluate", "victim", "peak_memory_mb")} <= found
    columns = {"seed", "stage", "method", "metric", "group", "value", "low", "high", "n", "seconds"}
    assert all(set(row) == columns for row in record["rows"])
    assert record["config"]["train"]["epochs"] == 0.5
    assert record["config"]["train"]["lr"] > 0
    assert record["config"]["device"] == "cpu"
    assert record["attack"]["target"] == "0"
    assert record["model"] == "small-cnn"
    assert record["seconds"] > 0
    assert record["peak_memory_mb"] > 0
    assert (finished / "report.html").is_file()


def test_the_manifest_is_the_truth(finished: Path) -> None:
    trial = next(open_store(finished).trials())
    with (trial.folder / "manifest.csv").open() as file:
        lines = list(csv.DictReader(file))
    train = load("digits").train
    assert [int(line["true_label"]) for line in lines] == train.labels.tolist()
    poisoned = [line for line in lines if line["poisoned"] == "1"]
    assert len(poisoned) == round(0.1 * len(train))
    assert {line["given_label"] for line in poisoned} == {"0"}
    assert "0" not in {line["true_label"] for line in poisoned}
    assert all(line["given_label"] == line["true_label"] for line in lines if line["poisoned"] == "0")


def test_the_weights_give_the_figures_in_the_record(finished: Path) -> None:
    trial = next(open_store(finished).trials())
    network, classes = load_network(trial.folder / WEIGHTS)
    assert classes == tuple(map(str, range(10)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = evaluate_clean(network, load("digits").test, Placement(torch.device("cpu"), "fp32", 1), method="victim")
    torch.set_num_threads(threads)
    stored = next(row for row in trial.record.rows if (row.method, row.metric, row.group) == ("victim", "ca", ""))
    assert rows[0].value == stored.value


def test_the_same_again_is_read_not_run(finished: Path, quick: dict[str, Any], trained: Trained) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished / "trials").rglob("*")}
    trials = run(quick, out=finished, seeds=2, listener=trained.listener, report=False)
    assert [trial.cached for trial in trials] == [True, True]
    assert trained.names == []
    assert {path: path.stat().st_mtime_ns for path in (finished / "trials").rglob("*")} == before


def test_the_same_run_elsewhere_gives_the_same_figures(finished: Path, quick: dict[str, Any], tmp_path: Path) -> None:
    (trial,) = run(quick, out=tmp_path, report=False)
    assert not trial.cached
    again, first = document(tmp_path, trial.record.key), document(finished, trial.record.key)
    assert metric_rows(again) == metric_rows(first)
    assert again["samples"] == first["samples"]


def test_the_twin_is_shared_and_gives_the_same_figures(
    finished: Path, quick: dict[str, Any], tmp_path: Path, trained: Trained
) -> None:
    shutil.copytree(finished, tmp_path / "runs")
    other = {**quick, "attack": {"name": "blended", "rate": 0.1}}
    (trial,) = run(other, out=tmp_path / "runs", listener=trained.listener, report=False)
    assert trained.names == ["victim"]
    first = document(finished, run(quick, out=finished, report=False)[0].record.key)
    record = document(tmp_path / "runs", trial.record.key)
    assert record["twin"] == first["twin"]

    def clean(rows: dict[str, Any]) -> list[float]:
        return [row["value"] for row in rows["rows"] if (row["method"], row["metric"]) == ("clean-twin", "ca")]

    assert clean(record) == clean(first)
    assert record["history"]["clean-twin"] == first["history"]["clean-twin"]


def test_a_cached_twin_gives_what_a_fresh_one_gives(finished: Path, quick: dict[str, Any], tmp_path: Path) -> None:
    """The trigger's figures on a twin that was read equal those on one trained in the same run."""
    shutil.copytree(finished / "twins", tmp_path / "twins")
    (trial,) = run(quick, out=tmp_path, report=False)
    assert not trial.cached
    assert metric_rows(document(tmp_path, trial.record.key)) == metric_rows(document(finished, trial.record.key))


def test_weights_are_kept_as_asked(quick: dict[str, Any], tmp_path: Path, trained: Trained) -> None:
    (trial,) = run({**quick, "keep_models": "none"}, out=tmp_path, report=False)
    assert not (trial.folder / WEIGHTS).exists()
    (same,) = run({**quick, "keep_models": "none"}, out=tmp_path, report=False)
    assert same.cached
    (kept,) = run({**quick, "keep_models": "victims"}, out=tmp_path, report=False, listener=trained.listener)
    assert trained.names == ["victim"]
    assert (kept.folder / WEIGHTS).is_file()
    assert kept.record.key == trial.record.key


def test_divergence_is_a_clear_record(quick: dict[str, Any], tmp_path: Path, trained: Trained) -> None:
    wild = {**quick, "train": {**quick["train"], "lr": 1e30, "schedule": "constant", "warmup": 0}}
    (trial,) = run(wild, out=tmp_path, report=True)
    assert trial.record.status == "diverged"
    assert "clean twin: training diverged" in (trial.record.error or "")
    assert "lower train.lr" in (trial.record.error or "")
    assert not any(row.stage == "evaluate" for row in trial.record.rows)
    (again,) = run(wild, out=tmp_path, listener=trained.listener, report=False)
    assert again.cached
    assert trained.names == []


def test_data_are_loaded_once_for_all_seeds(quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from turncoat.data.digits import Digits

    loads: list[int] = []
    original = Digits.load

    def counted(self: Digits, *args: Any) -> Splits:
        loads.append(1)
        return original(self, *args)

    monkeypatch.setattr(Digits, "load", counted)
    run(quick, out=tmp_path, seeds=2, report=False)
    assert len(loads) == 1


def test_a_class_by_name_and_by_index_are_one_trial(quick: dict[str, Any], finished: Path) -> None:
    for goal in ("all-to-one:0", {"name": "all-to-one", "target": 0}):
        given = {**quick, "attack": {**quick["attack"], "goal": goal}}
        assert run(given, out=finished, report=False)[0].cached, goal


def test_threads_are_put_back(quick: dict[str, Any], finished: Path) -> None:
    before = torch.get_num_threads()
    config = TrialConfig.model_validate(quick)
    assert run_trial(config, Store(finished)).record.environment["threads"] == 1
    assert torch.get_num_threads() == before


def test_a_target_that_is_no_class_ends_before_any_training(quick: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TurncoatError, match=r"attack\.goal\.target.*'frog'"):
        run(quick, ["attack.goal=all-to-one:frog"], out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_run_takes_a_file_a_mapping_or_a_value(quick: dict[str, Any], finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(quick))
    for given in (path, str(path), quick, TrialConfig.model_validate(quick)):
        assert run(given, out=finished, report=False)[0].cached
    with pytest.raises(TurncoatError, match="taken as it is"):
        run(TrialConfig.model_validate(quick), ["seed=1"], out=finished)
    with pytest.raises(TurncoatError, match="at least 1"):
        run(quick, out=finished, seeds=0)


def test_a_model_of_ones_own(quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "our_net.py").write_text(
        "from torch import nn\n"
        "def make(shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (trial,) = run(quick, out=tmp_path / "runs", model_factory="our_net:make", report=False)
    assert trial.record.status == "done"
    with pytest.raises(TurncoatError, match="expected weights written by turncoat"):
        load_network(trial.folder / WEIGHTS)
    assert load_network(trial.folder / WEIGHTS, allow_factory=True)[1][9] == "9"


def test_load_network_refuses_what_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\x80\x04\x95pickle")
    with pytest.raises(TurncoatError, match=r"x\.safetensors.*expected weights written by turncoat"):
        load_network(path)
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(TurncoatError, match="expected weights written by turncoat"):
        load_network(path)


def test_the_public_names_exist() -> None:
    for name in turncoat.__all__:
        assert getattr(turncoat, name) is not None
    assert set(turncoat.__all__) <= set(dir(turncoat))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = getattr(turncoat, "nothing")  # noqa: B009
