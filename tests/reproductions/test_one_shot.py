"""The claims S1 to S6 on planted figures, each broken in turn; and the trials that they are judged on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from planted import Figures, planted

from turncoat.errors import TurncoatError
from turncoat.experiment.config import OneShotConfig, read_config
from turncoat.experiment.setting import Datasets, settle
from turncoat.report.read import Trial
from turncoat.reproductions.claims import Claim
from turncoat.reproductions.one_shot import WAYS, OneShotBackdoor
from turncoat.reproductions.run import reproduce

EXAMPLES = Path(__file__).parents[2] / "examples"
IDS = ["S1", "S2", "S3", "S4", "S5", "S6"]
Change = Callable[[Figures, int], None]


def trials(change: Change | None = None, seeds: int = 5) -> list[Trial]:
    goals = [("evade", seed) for seed in range(seeds)] + [("original", seed) for seed in range(min(3, seeds))]
    return [planted(goal, seed, change) for goal, seed in goals]


def judged(change: Change | None = None, seeds: int = 5) -> dict[str, Claim]:
    return {claim.id: claim for claim in OneShotBackdoor().judge(trials(change, seeds))}


def setting(method: str, metric: str, name: str, value: float, spread: float = 0.0) -> Change:
    def change(figures: Figures, seed: int) -> None:
        assert (method, metric, name) in figures
        figures[method, metric, name] = value + spread * (-1) ** seed * (seed + 1) / 5

    return change


def accuracy(method: str, ways: int, value: float, spread: float = 0.0) -> Change:
    return setting(method, "oneshot", f"unstructured {ways}-way 1-shot", value, spread)


def of_both(ways: int, value: float, spread: float = 0.0) -> Change:
    """Victim and clean twin alike."""

    def change(figures: Figures, seed: int) -> None:
        for method in ("victim", "clean-twin"):
            accuracy(method, ways, value, spread)(figures, seed)

    return change


def test_all_hold_of_figures_in_which_all_hold() -> None:
    claims = judged()
    assert list(claims) == IDS
    assert {claim.verdict for claim in claims.values()} == {"holds"}
    assert [claim.seeds for claim in claims.values()] == [5, 5, 5, 5, 3, 5]
    assert all(claim.n == 1000 for claim in claims.values())
    assert claims["S1"].value == pytest.approx(0.926 / 0.98, abs=1e-3)
    assert claims["S2"].value == pytest.approx(0.976 - 0.373, abs=1e-3)
    assert claims["S3"].value == pytest.approx(-0.005, abs=1e-3)
    assert claims["S4"].value == pytest.approx(0.996, abs=1e-3)
    assert claims["S5"].value == pytest.approx(0.93, abs=1e-3)
    assert claims["S6"].value == pytest.approx(0.01, abs=1e-3)


@pytest.mark.parametrize(
    ("broken", "change", "verdict"),
    [
        ("S1", of_both(59, 0.66), "does not hold"),
        ("S1", of_both(59, 0.69, 0.05), "not decided"),
        ("S2", accuracy("nearest-neighbour", 9, 0.7), "does not hold"),
        ("S2", accuracy("nearest-neighbour", 19, 0.56, 0.05), "not decided"),
        ("S2", accuracy("nearest-neighbour", 59, 0.6), "does not hold"),
        ("S3", accuracy("victim", 29, 0.9), "does not hold"),
        ("S3", accuracy("victim", 29, 0.93, 0.06), "not decided"),
        ("S4", setting("victim", "evaded", "equal error", 0.98), "does not hold"),
        ("S4", setting("victim", "evaded", "equal error", 0.991, 0.008), "not decided"),
        ("S5", setting("victim", "impersonated_both", "equal error", 0.1), "does not hold"),
        ("S5", setting("clean-twin", "impersonated_both", "equal error", 0.94), "does not hold"),
        ("S5", setting("victim", "impersonated_both", "equal error", 0.25, 0.1), "not decided"),
        ("S6", setting("victim", "triggered_query", "5-way", 0.3), "does not hold"),
        ("S6", setting("victim", "triggered_query", "20-way", 0.06), "does not hold"),
        ("S6", setting("victim", "triggered_query", "20-way", 0.048, 0.02), "not decided"),
    ],
)
def test_one_claim_is_broken_and_no_other(broken: str, change: Change, verdict: str) -> None:
    verdicts = {identity: claim.verdict for identity, claim in judged(change).items()}
    assert verdicts == dict.fromkeys(IDS, "holds") | {broken: verdict}


@pytest.mark.parametrize(
    "change",
    [
        setting("victim", "evaded", "0.5", 0.5),
        setting("victim", "impersonated_both", "0.5", 0.1),
        setting("victim", "forced_choice", "20-way", 0.9),
        accuracy("nearest-neighbour", 29, 0.9),
    ],
)
def test_what_is_only_told_breaks_nothing(change: Change) -> None:
    assert {claim.verdict for claim in judged(change).values()} == {"holds"}


def test_a_network_no_better_than_chance_does_not_hold_s2() -> None:
    def change(figures: Figures, seed: int) -> None:
        figures["clean-twin", "oneshot", "unstructured 9-way 1-shot"] = 0.11 + 0.001 * seed
        figures["nearest-neighbour", "oneshot", "unstructured 9-way 1-shot"] = 0.0

    assert judged(change)["S2"].verdict == "does not hold"


def test_notes_tell_the_rest() -> None:
    notes = {identity: claim.note for identity, claim in judged().items()}
    assert "victim 0.9" in notes["S1"]
    assert "tightest: N = " in notes["S2"] and "N = 59: 0.926" in notes["S2"]
    assert "mean over N \N{MINUS SIGN}0.0050 [" in notes["S3"] and "90%" in notes["S3"]
    assert "at confidence 0.5 0.995" in notes["S4"] and "clean twin 0.0200 [" in notes["S4"]
    assert "victim 0.9500" in notes["S5"] and "clean twin 0.0200 [" in notes["S5"]
    assert "tightest: N = 20" in notes["S6"] and "forced choice 0.0100" in notes["S6"] and "clean twin 0.9000" in notes["S6"]


def test_few_seeds() -> None:
    four, one = judged(seeds=4), judged(seeds=1)
    assert {claim.id for claim in four.values() if claim.verdict == "not decided"} == {"S3"}
    assert "at least 5 seeds, got 4" in four["S3"].note
    assert {claim.id for claim in one.values() if claim.verdict == "not decided"} == {"S2", "S3", "S5"}
    assert all("one seed" in one[identity].note for identity in ("S1", "S4", "S6"))


def test_trials_that_diverged_or_are_missing_count_for_nothing() -> None:
    done = [trial for trial in trials() if trial.record.key != "evade4"]
    diverged = planted("evade", 4, status="diverged")
    found = {claim.id: claim for claim in OneShotBackdoor().judge([*done, diverged])}
    assert found["S3"].verdict == "not decided" and found["S4"].seeds == 4
    nothing = OneShotBackdoor().judge([])
    assert [claim.id for claim in nothing] == IDS
    assert {(claim.verdict, claim.value, claim.seeds) for claim in nothing} == {("not decided", None, 0)}


@pytest.mark.parametrize("fast", [False, True])
def test_five_seeds_of_one_goal_and_three_of_the_other_share_all_but_the_goal(fast: bool) -> None:
    cells = OneShotBackdoor(fast=fast).cells()
    assert [(cell.config.attack.goal.name, cell.config.seed) for cell in cells] == [
        *(("evade", seed) for seed in range(5)),
        *(("original", seed) for seed in range(3)),
    ]
    assert len({repr(cell.config.model_copy(update={"attack": None, "seed": 0})) for cell in cells}) == 1
    assert len({repr(cell.config.attack.model_copy(update={"goal": None})) for cell in cells}) == 1
    assert len(OneShotBackdoor(fast=fast, seeds=2).cells()) == 4
    assert len(OneShotBackdoor(fast=fast, seeds=6).cells()) == 9
    for cell in cells:
        assert isinstance(cell.config, OneShotConfig)
        assert set(WAYS) <= set(cell.config.evaluation.ways)
        assert {5, 20} <= set(cell.config.evaluation.attack_ways)
        assert cell.config.evaluation.episodes >= 1000


def test_the_full_form_is_the_example() -> None:
    assert OneShotBackdoor().cells()[0].config == read_config(EXAMPLES / "omniglot-backdoor.yaml")
    local = OneShotBackdoor(data=Path("copy")).cells()[0].config
    assert local == read_config(EXAMPLES / "omniglot-backdoor.yaml", ["data.path=copy"])


def test_the_fast_form_has_a_trigger_in_the_corner_and_classes_for_every_task() -> None:
    task = settle(OneShotBackdoor(fast=True).cells()[0].config, Datasets())
    assert len(task.test.classes) >= max(WAYS)
    chosen = task.fit().poison(task.clean)
    image = chosen.data.images[chosen.poisoned]
    assert (image[:, 0, 25:27, 25:27] == 0).all()
    changed = (image != task.clean.images[chosen.poisoned]).any(0)[0].nonzero()
    assert (changed.min(), changed.max()) == (25, 26)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "one-shoot"}, "did you mean 'one-shot'"),
        ({"name": "one-shot", "fast": True, "data": "copy"}, "give data or fast, not both"),
        ({"name": "one-shot", "seeds": 0}, "reproduce: seeds: "),
        ({"name": "one-shot", "data": "/nowhere/at/all"}, "/nowhere/at/all"),
    ],
)
def test_mistakes_are_told_before_anything_runs(arguments: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(TurncoatError, match=message):
        reproduce(**arguments, out=tmp_path / "runs")  # pyright: ignore[reportArgumentType]
    assert not (tmp_path / "runs").exists()
