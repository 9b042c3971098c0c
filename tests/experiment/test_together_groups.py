from __future__ import annotations

import pytest
import torch

from turncoat.experiment.classification import Classification
from turncoat.experiment.config import parse_config
from turncoat.experiment.listener import Listener
from turncoat.experiment.setting import Datasets, cpu_threads, settle
from turncoat.experiment.task import Trained
from turncoat.experiment.together import Group, groups, kin_of, train_group, twin_keys, victim_of
from turncoat.train import EpochRecord

DATASETS = Datasets()


def task(**changes: object) -> Classification:
    given = {
        "data": "digits",
        "model": {"name": "small-cnn", "width": 4},
        "attack": {"name": "badnets", "rate": 0.1, "patch": {"size": 2, "margin": 0}},
        "train": {"epochs": 0.2},
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
    }
    settled = settle(parse_config({**given, **changes}), DATASETS)
    assert isinstance(settled, Classification)
    return settled


def test_groups_are_even_in_order_and_leave_out_who_is_alone() -> None:
    kin = ["a", "b", "a", None, "a", "a", "c", "a", None, "b"]
    keys = list("0123456789")
    found = groups(kin, keys, size=3)
    assert [group.members for group in found] == [(0, 2), (4, 5, 7), (1, 9)]
    assert len({group.name for group in found}) == 3
    assert groups([None, "a"], ["0", "1"]) == []


def test_a_trial_that_comes_twice_is_a_member_once() -> None:
    found = groups(["a"] * 4, ["0", "1", "0", "2"])
    assert [group.members for group in found] == [(0, 1, 3)]


def test_the_key_depends_on_the_trial_and_on_all_that_are_with_it() -> None:
    (first,), (other,), (again,) = groups(["a"] * 3, list("xyz")), groups(["a"] * 3, list("xyw")), groups(["b"] * 3, list("xyz"))
    assert isinstance(first, Group)
    assert first == again
    keys = {first.key("x"), first.key("y"), other.key("x"), other.key("y"), "x", "y"}
    assert len(keys) == 6


def test_a_regulariser_that_is_a_setting_stacks() -> None:
    kin = kin_of(task(train={"regularisers": ["label-smoothing"]}))
    assert kin not in (kin_of(task()), None)


def test_twins_are_a_group_of_their_own() -> None:
    assert twin_keys(["a", "a", "a"]) == ["a"] * 3, "one is trained alone"
    first, again, other, *_ = twin_keys(["a", "a", "b", "b"])
    assert first == again != other and "a" not in (first, other)
    assert twin_keys(["a", "b"]) == [first, other], "and does not depend on whose twins they are"
    assert twin_keys(["a", "c"])[0] != first


def test_kin_differ_in_attack_and_seed_alone() -> None:
    kin = kin_of(task())
    assert kin is not None
    assert kin == kin_of(task(seed=5)) == kin_of(task(attack={"name": "blended", "rate": 0.02}))
    for other in ({"train": {"epochs": 0.3}}, {"model": {"name": "small-cnn", "width": 5}}, {"precision": "bf16"}):
        assert kin_of(task(**other)) not in (kin, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"attack": "none"},
        {"train": {"start": "twin"}},
        {"train": {"regularisers": ["mixup"]}},
        {"train": {"compile": True}},
        {"model": {"name": "small-cnn", "width": 256}},
    ],
)
def test_what_is_no_ordinary_small_victim_is_trained_alone(changes: dict[str, object]) -> None:
    assert kin_of(task(**changes)) is None


def test_a_group_gives_what_each_trial_would() -> None:
    tasks = [task(seed=1), task(seed=2), task(seed=1, attack={"name": "blended", "rate": 0.05})]
    poisoned = [each.fit().poison(each.clean) for each in tasks]
    seen: list[tuple[int, str, int]] = []

    def listener(at: int) -> Listener:
        def epoch(what: str, record: EpochRecord) -> None:
            seen.append((at, what, record.epoch))

        return Listener(epoch=epoch)

    victims = [victim_of(each, data) for each, data in zip(tasks, poisoned, strict=True)]
    together = train_group(tasks[0], victims, [listener(at) for at in range(3)], threads=2)
    assert sorted(seen) == [(0, "victim", 1), (1, "victim", 1), (2, "victim", 1)]
    for each, data, found in zip(tasks, poisoned, together, strict=True):
        assert isinstance(found, Trained)
        with cpu_threads(1):
            alone = each.train(data, "victim", Listener())
        assert found.history.epochs[0].loss == pytest.approx(alone.history.epochs[0].loss, abs=2e-3)
        for a, b in zip(found.network.parameters(), alone.network.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=5e-3)
