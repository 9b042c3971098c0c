import pytest

from turncoat.errors import TurncoatError
from turncoat.overrides import merge, parse_override, parse_overrides


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.05", 0.05),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("{name: blended, alpha: 0.1}", {"name": "blended", "alpha": 0.1}),
        ("folder:/some/where", "folder:/some/where"),
        ("a=b", "a=b"),
        ("", None),
        ("null", None),
        ("'3'", "3"),
    ],
)
def test_values_are_yaml(text: str, value: object):
    assert parse_override(f"a.b={text}") == (("a", "b"), value)


@pytest.mark.parametrize("item", ["rate", "=3", ".a=3", "a.=3", "a..b=3", ""])
def test_not_a_setting(item: str):
    with pytest.raises(TurncoatError, match="expected a setting as path=value"):
        parse_overrides([item])


def test_every_mistake_at_once_each_with_its_path():
    with pytest.raises(TurncoatError) as caught:
        parse_overrides(["rate", "attack.rate=[1", "attack.rate=0.1", "x=@y"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("attack.rate: '[1' is not a YAML value")


@pytest.mark.parametrize("items", [["attack=badnets", "attack.rate=0.1"], ["attack.rate=0.1", "attack=badnets"]])
def test_name_and_sub_keys_go_together_in_any_order(items: list[str]):
    assert parse_overrides(items) == {"attack": {"name": "badnets", "rate": 0.1}}


def test_deep_paths_and_later_wins():
    assert parse_overrides(["a.b.c=1", "a.b.d=2", "a.b.c=3", "e=4"]) == {"a": {"b": {"c": 3, "d": 2}}, "e": 4}


@pytest.mark.parametrize("items", [["a=3", "a.b=4"], ["a.b=4", "a=3"], ["a=[1]", "a.b=4"]])
def test_contradictions_are_refused(items: list[str]):
    with pytest.raises(TurncoatError, match="contradicts"):
        parse_overrides(items)


@pytest.mark.parametrize(
    ("base", "overrides", "merged"),
    [
        # plain values
        ({"seed": 0, "data": "digits"}, {"seed": 1}, {"seed": 1, "data": "digits"}),
        ({}, {"attack": {"rate": 0.1}}, {"attack": {"rate": 0.1}}),
        ({"attack": None}, {"attack": {"rate": 0.1}}, {"attack": {"rate": 0.1}}),
        ({"train": {"epochs": 3, "lr": 1}}, {"train": {"epochs": 5}}, {"train": {"epochs": 5, "lr": 1}}),
        ({"train": {"betas": [1, 2]}}, {"train": {"betas": [3]}}, {"train": {"betas": [3]}}),
        # a bare name grows settings
        ({"attack": "badnets"}, {"attack": {"rate": 0.1}}, {"attack": {"name": "badnets", "rate": 0.1}}),
        ({"data": "folder:A"}, {"data": {"size": 8}}, {"data": {"name": "folder:A", "size": 8}}),
        # another name drops what belonged to the old one, but not what is given now
        (
            {"attack": {"name": "badnets", "patch": {"size": 3}, "rate": 0.1}},
            {"attack": {"name": "blended", "rate": 0.2}},
            {"attack": {"name": "blended", "rate": 0.2}},
        ),
        ({"data": {"name": "digits", "split": 1}}, {"data": "mnist"}, {"data": {"name": "mnist"}}),
        ({"data": "digits"}, {"data": {"name": "folder", "path": "D"}}, {"data": {"name": "folder", "path": "D"}}),
        ({"data": {"name": "folder", "path": "A"}}, {"data": "folder:B"}, {"data": {"name": "folder:B"}}),
        # the same name keeps them
        (
            {"attack": {"name": "badnets", "rate": 0.1, "goal": "all-to-all"}},
            {"attack": {"name": "badnets", "rate": 0.2}},
            {"attack": {"name": "badnets", "rate": 0.2, "goal": "all-to-all"}},
        ),
        ({"data": "folder:A"}, {"data": {"name": "folder", "size": 8}}, {"data": {"name": "folder:A", "size": 8}}),
        # deeper components
        (
            {"attack": {"name": "badnets", "goal": {"name": "source-specific", "source": 3}}},
            {"attack": {"goal": "all-to-all"}},
            {"attack": {"name": "badnets", "goal": {"name": "all-to-all"}}},
        ),
    ],
)
def test_merge(base: dict[str, object], overrides: dict[str, object], merged: dict[str, object]):
    before = repr(base), repr(overrides)
    assert merge(base, overrides) == merged
    assert (repr(base), repr(overrides)) == before
