from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from turncoat import TurncoatError, results
from turncoat.experiment.store import open_store

COLUMNS = "key status data model attack rate goal seed stage method metric group value low high n seconds peak_memory_mb"


def test_the_long_table_has_every_figure_of_every_trial(finished: Path) -> None:
    table = results(finished)
    assert list(table.columns) == COLUMNS.split()
    trials = {trial.record.key: trial for trial in open_store(finished).trials()}
    assert len(table) == sum(len(trial.record.rows) for trial in trials.values())
    assert set(table["seed"]) == {0, 1}
    assert set(table["attack"]) == {"badnets"}
    assert set(table["rate"]) == {0.1}
    assert set(table["goal"]) == {"all-to-one"}
    assert set(table["model"]) == {"small-cnn"}
    for line in table.itertuples():
        (row,) = (
            row
            for row in trials[str(line.key)].record.rows
            if (row.stage, row.method, row.metric, row.group) == (line.stage, line.method, line.metric, line.group)
        )
        assert row.value == line.value
        assert pd.isna(line.n) if row.n is None else row.n == line.n


def test_one_metric(finished: Path) -> None:
    table = results(finished, "asr")
    assert set(table["metric"]) == {"asr"}
    assert len(table.query("group == ''")) == 4


@pytest.mark.parametrize("name", ["it's [odd] * ?", "ä;b"])
def test_a_folder_of_any_name(finished: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(finished, tmp_path / name)
    assert len(results(tmp_path / name)) == len(results(finished))


def test_a_figure_that_is_not_finite(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "runs")
    trial = next(open_store(tmp_path / "runs").trials())
    path = trial.folder / "trial.json"
    document = json.loads(path.read_text())
    document["rows"] = [{**row, "value": None} if row["metric"] == "psnr" else row for row in document["rows"]]
    path.write_text(json.dumps(document))
    assert results(tmp_path / "runs", "psnr")["value"].isna().sum() == 1


def test_what_cannot_be_read_is_named(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(TurncoatError, match="expected a folder of trials"):
        results(tmp_path / "none")
    (tmp_path / "empty" / "trials").mkdir(parents=True)
    with pytest.raises(TurncoatError, match="expected finished trials, found none"):
        results(tmp_path / "empty")
    shutil.copytree(finished, tmp_path / "runs")
    trial = next(open_store(tmp_path / "runs").trials())
    (trial.folder / "trial.json").write_text('{"key": "x", "rows": [')
    with pytest.raises(TurncoatError, match=trial.record.key):
        results(tmp_path / "runs")
