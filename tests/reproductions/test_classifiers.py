"""The claims of `sig` and `dynamic` on planted figures, each condition broken in turn; and the trials they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from turncoat.report.read import Trial
from turncoat.report.record import TrialRecord
from turncoat.reproductions.classifiers import ClassifierReproduction
from turncoat.reproductions.clean_image import CleanImage
from turncoat.reproductions.dynamic import Dynamic
from turncoat.reproductions.hidden import MASKS, Hidden
from turncoat.reproductions.sig import Sig

CLASSES = ["ant", "bee"]
WOBBLE = (0.0, 0.002, -0.002, 0.001, -0.001)
GOOD = {
    ("poison", "poison", "relabelled", ""): 0.0,
    ("evaluate", "victim", "asr", ""): 0.98,
    ("evaluate", "victim", "asr", "to ant"): 0.98,
    ("evaluate", "victim", "asr", "to bee"): 0.97,
    ("evaluate", "clean-twin", "asr", ""): 0.02,
    ("evaluate", "victim", "ca", ""): 0.95,
    ("evaluate", "clean-twin", "ca", ""): 0.952,
    ("evaluate", "random-twin", "asr", ""): 0.1,
    ("evaluate", "victim", "natural_asr", ""): 0.8,
    ("evaluate", "random-twin", "natural_asr", ""): 0.1,
    ("evaluate", "victim", "ca", "feature-bearing"): 0.4,
    ("evaluate", "clean-twin", "ca", "feature-bearing"): 0.95,
}


def trial(seed: int, attack: str = "sig", **changes: float) -> Trial:
    """changes: by ``method_metric_group``, words joined by underscores."""
    rows: list[dict[str, Any]] = []
    for (stage, method, metric, group), value in GOOD.items():
        found = changes.get(f"{method}_{metric}_{group}".replace("-", "_").replace(" ", "_").rstrip("_"), value)
        found += 0 if stage == "poison" else WOBBLE[seed] * (1 if method == "victim" else 0.5)
        bounds = {"low": max(0.0, found - 0.01), "high": min(1.0, found + 0.01), "n": 500} if stage == "evaluate" else {}
        rows.append({"stage": stage, "method": method, "metric": metric, "group": group, "value": found, **bounds})
    document = {
        "schema": 1,
        "key": f"k{seed}",
        "status": "done",
        "config": {"seed": seed},
        "attack": {"name": attack, "goal": "all-to-one"},
        "data": {"name": "digits", "train": 100, "test": 100, "shape": [1, 8, 8], "classes": CLASSES},
        "rows": rows,
    }
    return Trial(Path("nowhere"), TrialRecord.model_validate(document))


def verdicts(of: ClassifierReproduction, seeds: int | None = None, **changes: float) -> dict[str, str]:
    trials = [trial(seed, **changes) for seed in range(seeds or of.wanted)]
    return {claim.id: claim.verdict for claim in of.judge(trials)}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "holds"),
        ({"victim_asr": 0.7}, "does not hold"),
        ({"victim_asr": 0.8}, "not decided"),
        ({"clean_twin_asr": 0.6}, "does not hold"),
        ({"poison_relabelled": 0.01}, "not decided"),
    ],
)
def test_sig_wants_success_beyond_the_twin_and_true_labels(changes: dict[str, float], verdict: str) -> None:
    assert verdicts(Sig(), **changes) == {"B2": verdict}


def test_no_trial_decides_nothing() -> None:
    every = (Sig(), Dynamic(), Hidden(), CleanImage())
    assert {claim.verdict for of in every for claim in of.judge([])} == {"not decided"}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, {"B4a": "holds", "B4b": "holds"}),
        ({"victim_asr_to_bee": 0.9}, {"B4a": "does not hold", "B4b": "holds"}),
        ({"victim_ca": 0.9}, {"B4a": "holds", "B4b": "does not hold"}),
        ({"victim_ca": 0.942}, {"B4a": "holds", "B4b": "not decided"}),
    ],
)
def test_dynamic_wants_every_class_reached_and_accuracy_kept(changes: dict[str, float], verdict: dict[str, str]) -> None:
    assert verdicts(Dynamic(), **changes) == verdict


def test_equivalence_needs_five_seeds() -> None:
    assert verdicts(Dynamic(), seeds=3)["B4b"] == "not decided"


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, ""),
        ({"victim_asr": 0.2}, "R1"),
        ({"victim_natural_asr": 0.6}, "R2"),
        ({"victim_ca_feature_bearing": 0.98}, "R3"),
    ],
)
def test_clean_image_wants_more_than_random_labels_give(changes: dict[str, float], broken: str) -> None:
    wanted = {name: "does not hold" if name == broken else "holds" for name in ("R1", "R2", "R3")}
    assert verdicts(CleanImage(), **changes) == wanted


@pytest.mark.parametrize(
    ("static", "twin", "verdict"), [(0.5, 0.02, "holds"), (0.9, 0.02, "does not hold"), (0.5, 0.4, "does not hold")]
)
def test_hidden_compares_lifts_over_the_twins(static: float, twin: float, verdict: str) -> None:
    """``twin``: the adaptive mask's success on a clean network, which is no backdoor."""
    adaptive = [trial(seed, MASKS[0], clean_twin_asr=twin) for seed in range(5)]
    plain = [trial(seed, MASKS[1], victim_asr=static + 0.003 * seed) for seed in range(5)]
    (claim,) = Hidden().judge([*adaptive, *plain])
    assert claim.verdict == verdict


def test_hidden_pairs_masks_of_one_norm_and_injects_both_late() -> None:
    for fast in (False, True):
        configs = [cell.config for cell in Hidden(fast=fast).cells()]
        assert [config.attack.name for config in configs if config.attack] == [MASKS[0]] * 5 + [MASKS[1]] * 5
        assert {config.train.start for config in configs} == {"twin"}
        strengths = {getattr(c.attack, "bound", None) or getattr(c.attack, "amplitude", None) for c in configs}
        assert len(strengths) == 1
        assert len({(config.attack.rate, config.attack.goal.model_dump_json()) for config in configs if config.attack}) == 1


@pytest.mark.parametrize("of", [Sig, Dynamic, CleanImage])
def test_trials_differ_in_the_seed_alone_and_take_data_from_where_they_are_told(
    of: type[ClassifierReproduction], tmp_path: Path
) -> None:
    cells = of(fast=True).cells()
    assert [cell.config.seed for cell in cells] == list(range(of.wanted))
    assert len({cell.config.model_copy(update={"seed": 0}).model_dump_json() for cell in cells}) == 1
    assert cells[0].config.data.name == "digits"
    assert of().cells()[0].config.data.name == "cifar10"
    assert of(data=tmp_path).cells()[0].config.data.name == "cifar10"
    (tmp_path / "train").mkdir()
    assert of(data=tmp_path, seeds=1).cells()[0].config.data.name == "folder"
    with pytest.raises(ValidationError, match="give data or fast, not both"):
        of(fast=True, data=tmp_path)
