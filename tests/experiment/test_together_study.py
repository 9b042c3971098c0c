"""A study whose small victims are trained together: the same trials as one by one, whatever is lost on the way."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from experiment_helpers import Trained, document, metric_rows
from quick_trial import QUICK

from turncoat import TurncoatError, study
from turncoat.experiment import grouped, jobs
from turncoat.experiment import together as rule
from turncoat.experiment.executors import Workers
from turncoat.experiment.listener import Listener
from turncoat.experiment.plan import Plan, plan
from turncoat.experiment.study import StudyResult
from turncoat.experiment.watch import Watch

AXES: dict[str, Any] = {"attack": ["badnets", "clean-image"], "seed": [0, 1]}


@pytest.fixture(scope="module")
def base() -> dict[str, Any]:
    return {**QUICK, "model": {"name": "small-cnn", "width": 4}, "train": {"epochs": 0.3, "batch_size": 128}}


@pytest.fixture
def path(tmp_path: Path, base: dict[str, Any]) -> Path:
    return write(tmp_path / "study.yaml", base, AXES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, base: dict[str, Any]) -> tuple[Path, StudyResult, Counter[str]]:
    """A store, to be read only, of the study trained together; what came of it, and its trainings by name."""
    folder, trained = tmp_path_factory.mktemp("together"), Trained()
    watch = Watch(begin=lambda cell, tally: trained.listener)
    result = study(write(folder / "study.yaml", base, AXES), out=folder / "runs", together="auto", report=False, watch=watch)
    return folder / "runs", result, Counter(trained.names)


Whole = tuple[Path, StudyResult, Counter[str]]


def write(path: Path, base: dict[str, Any], axes: dict[str, Any], **more: object) -> Path:
    path.write_text(json.dumps({"base": base, "axes": axes, **more}))
    return path


def keys(of: Plan | StudyResult) -> list[str]:
    if isinstance(of, StudyResult):
        return [trial.record.key for trial in of.trials]
    return [trial.key for trial in of.trials]


def rows(out: Path, key: str) -> list[dict[str, Any]]:
    return metric_rows(document(out, key))


def what(row: dict[str, Any]) -> list[Any]:
    return [row[column] for column in ("stage", "method", "metric", "group", "n")]


def value(out: Path, key: str, metric: str, method: str = "victim") -> float:
    (found,) = [row["value"] for row in rows(out, key) if what(row)[1:4] == [method, metric, ""]]
    return found


def test_trials_are_those_of_one_by_one_but_for_the_last_bits(path: Path, tmp_path: Path, whole: Whole) -> None:
    both, joint, names = whole
    apart, alone = tmp_path, study(path, out=tmp_path, together="never", report=False)
    assert names == {"victim": 4, "clean twin": 2, "random twin": 2}
    assert not joint.failures
    for one, other in zip(joint.trials, alone.trials, strict=True):
        a, b = one.record, other.record
        assert a.key != b.key
        assert (a.together, b.together) == (4, 0)
        assert (a.random_twin, a.poison, a.attack, a.config) == (b.random_twin, b.poison, b.attack, b.config)
        assert a.twin != b.twin, "clean twins are trained together as well"
        stores = ((both, a.key), (apart, b.key))
        for kept in ("poison", "random-twin"):
            same = [[row for row in rows(*store) if kept in (row["stage"], row["method"])] for store in stores]
            assert same[0] == same[1]
        assert [what(row) for row in rows(*stores[0])] == [what(row) for row in rows(*stores[1])]
        assert (one.folder / "manifest.csv").read_bytes() == (other.folder / "manifest.csv").read_bytes()
        for method, metric in (("victim", "ca"), ("victim", "asr"), ("clean-twin", "ca"), ("clean-twin", "asr")):
            assert abs(value(*stores[0], metric, method) - value(*stores[1], metric, method)) < 0.03
        assert a.seconds is not None
        assert 0 < a.seconds < sum(trial.record.seconds or 0 for trial in joint.trials)
    records = [trial.record for trial in joint.trials]
    assert twins(both) == {record.twin for record in records} | {record.random_twin for record in records} - {""}
    assert len(twins(both)) == len(twins(apart)) == 4


def twins(out: Path) -> set[str]:
    return {twin.name for twin in (out / "twins").iterdir()}


def test_a_twin_that_is_missing_has_all_twins_trained_again(path: Path, tmp_path: Path, whole: Whole) -> None:
    store, first, _ = whole
    out, trained = tmp_path / "runs", Trained()
    shutil.copytree(store, out)
    gone, kept = first.trials[0].record, first.trials[1].record
    assert gone.twin != kept.twin
    shutil.rmtree(out / "trials" / gone.key)
    shutil.rmtree(out / "twins" / gone.twin)
    (out / "twins" / kept.twin / "mark").touch()
    assert plan(path, out=out, together="auto").twins == 1
    (out / "trials" / kept.key / "trial.json").write_text("{}")  # a broken record, whose twin takes its place all the same
    watch = Watch(begin=lambda cell, tally: trained.listener)
    again = study(path, out=out, together="auto", report=False, watch=watch)
    assert keys(again) == [key for key in keys(first) if key != kept.key]
    assert trained.names.count("clean twin") == 2
    assert rows(out, gone.key) == rows(store, gone.key), "to the last bit"
    assert (out / "twins" / kept.twin / "mark").exists()


def test_groups_with_the_same_seeds_share_their_twins(
    tmp_path: Path, base: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "groups", partial(rule.groups, size=2))
    found = plan(write(tmp_path / "rates.yaml", base, {"attack.rate": [0.05, 0.1], "seed": [0, 1]}), together="auto")
    assert (found.together, found.groups, found.twins) == (4, 2, 2)


def test_one_that_is_missing_has_all_trained_again_and_the_others_stay(path: Path, tmp_path: Path, whole: Whole) -> None:
    store, first, _ = whole
    out, trained, told = tmp_path / "runs", Trained(), list[str]()
    shutil.copytree(store, out)
    lost, *others = keys(first)
    shutil.rmtree(out / "trials" / lost)
    for key in others:
        (out / "trials" / key / "mark").touch()
    found = plan(path, out=out, together="auto")
    assert (found.finished, found.victims, found.together, found.groups, found.twins) == (3, 4, 4, 1, 0)
    watch = Watch(begin=lambda cell, tally: trained.listener, end=lambda cell, ending, error, tally: told.append(ending))
    again = study(path, out=out, together="auto", report=False, watch=watch)
    assert Counter(trained.names) == {"victim": 4}
    assert [trial.cached for trial in again.trials] == [False, True, True, True]
    assert told == ["read", "read", "read", "done"]
    assert keys(again) == keys(first)
    assert rows(out, lost) == rows(store, lost)
    assert all((out / "trials" / key / "mark").exists() for key in others)
    assert plan(path, out=out, together="auto").groups == 0


def test_killed_on_the_way_and_run_again(path: Path, tmp_path: Path, whole: Whole) -> None:
    """A worker dies after two trials of the group are written; those count, and the rest come out as they would have."""
    store, first, _ = whole
    out = tmp_path / "runs"

    class Stop(BaseException):
        """As an interrupt would, it passes through everything."""

    def stop(what: str, done: int, total: int) -> None:
        if what == "3 of 4 together: evaluating":
            raise Stop

    with pytest.raises(Stop):
        study(path, out=out, together="auto", report=False, watch=Watch(begin=lambda cell, tally: Listener(stop)))
    assert sorted(trial.name for trial in (out / "trials").iterdir()) == sorted(keys(first)[:2])
    again = study(path, out=out, together="auto", executor=Workers(2), report=False)
    assert keys(again) == keys(first)
    assert [trial.cached for trial in again.trials] == [True, True, False, False]
    for key in keys(first):
        assert rows(out, key) == rows(store, key)


def test_keys_depend_on_the_group_and_on_nothing_else(path: Path, tmp_path: Path, base: dict[str, Any]) -> None:
    joint, alone = plan(path, together="auto"), plan(path, together="never")
    assert (joint.together, joint.groups, alone.together, alone.groups) == (4, 1, 0, 0)
    assert keys(plan(path)) == keys(alone)
    assert keys(plan(path, together="auto", executor=Workers(2))) == keys(joint)
    assert not set(keys(joint)) & set(keys(alone))
    assert len(set(keys(joint))) == 4
    assert not set(keys(plan(path, ["axes.seed=[0, 1, 2]"], together="auto"))) & set(keys(joint))
    single = plan(path, ["axes.seed=[0]", "axes.attack=[badnets]"], together="auto")
    assert keys(single) == keys(alone)[:1]
    says = write(tmp_path / "says.yaml", base, AXES, together="auto")
    assert keys(plan(says)) == keys(joint)
    assert keys(plan(says, together="never")) == keys(alone)
    for wrong in ("always", ["auto"], True):
        with pytest.raises(TurncoatError, match=r"together: expected auto or never, got"):
            plan(write(tmp_path / "wrong.yaml", base, AXES, together=wrong))


def test_on_a_gpu_auto_is_the_default(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joint = plan(path, together="auto")
    monkeypatch.setattr(rule, "ALONE", ())
    assert keys(plan(path)) == keys(joint)


def test_a_broken_record_costs_its_own_trial_alone(path: Path, tmp_path: Path, whole: Whole) -> None:
    store, first, _ = whole
    shutil.copytree(store, tmp_path / "runs")
    broken, lost, *_ = keys(first)
    (tmp_path / "runs" / "trials" / broken / "trial.json").write_text("{}")
    shutil.rmtree(tmp_path / "runs" / "trials" / lost)
    result = study(path, out=tmp_path / "runs", together="auto", report=False)
    assert [failure.cell.label for failure in result.failures] == ["attack=badnets, seed=0"]
    assert keys(result) == keys(first)[1:]
    assert rows(tmp_path / "runs", lost) == rows(store, lost)


def test_groups_are_of_sixteen_at_most(path: Path) -> None:
    found = plan(path, ["axes.attack=[badnets]", f"axes.seed={list(range(18))}"], together="auto")
    assert (found.victims, found.together, found.groups) == (18, 18, 2)


def test_one_that_diverges_is_told_for_itself(path: Path, tmp_path: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    store, first, _ = whole
    victims: list[int] = []
    make = grouped.victim_of

    def make_second_badly(*given: Any) -> Any:
        victim = make(*given)
        victims.append(1)
        if len(victims) == 2:
            with torch.no_grad():
                next(victim.network.parameters()).fill_(torch.nan)
        return victim

    monkeypatch.setattr(grouped, "victim_of", make_second_badly)
    result = study(path, out=tmp_path, together="auto", report=False)
    assert [trial.record.status for trial in result.trials] == ["done", "diverged", "done", "done"]
    assert (result.trials[1].record.error or "").startswith("victim: training diverged")
    assert keys(result) == keys(first)
    for at in (0, 2, 3):
        assert rows(tmp_path, keys(result)[at]) == rows(store, keys(first)[at])


@pytest.mark.parametrize("stage", ["grouped.victim_of", "grouped.run_attack"])
def test_one_that_fails_is_told_for_itself(
    path: Path, tmp_path: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    store, first, _ = whole
    calls: list[int] = []
    module, name = f"turncoat.experiment.{stage}".rsplit(".", 1)
    original = getattr(import_module(module), name)

    def fail(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no luck")
        return original(*given)

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.{name}", fail)
        result = study(path, out=tmp_path, together="auto", report=False)
    (failure,) = result.failures
    assert (failure.cell.label, failure.error) == ("attack=badnets, seed=1", "RuntimeError: no luck")
    assert "no luck" in json.loads(failure.log.read_text())["traceback"]
    one, lost, *others = keys(first)
    assert keys(result) == [one, *others]
    for key in keys(result):
        assert rows(tmp_path, key) == rows(store, key)
    assert not (tmp_path / "trials" / lost).exists()


def test_equal_trials_are_one_and_those_that_others_retrain_stay_alone(tmp_path: Path, base: dict[str, Any]) -> None:
    path = write(tmp_path / "study.yaml", base, {"attack.goal": ["all-to-one:0", "all-to-one"], "seed": [0, 1]})
    found = plan(path, together="auto")
    assert (len(found.trials), found.victims, found.together, found.groups) == (4, 2, 2, 1)
    assert keys(found)[:2] == keys(found)[2:]
    result = study(path, out=tmp_path / "runs", together="auto", report=False)
    assert keys(result) == keys(found)
    assert [trial.record.together for trial in result.trials] == [2] * 4
    retrained = write(tmp_path / "retrained.yaml", base, {"retrain": [None, {"epochs": 1}], "seed": [0, 1]})
    assert keys(plan(retrained, together="auto")) == keys(plan(retrained, together="never"))
