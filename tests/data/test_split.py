from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from turncoat.data.split import stratified_split

labels_of_classes = st.lists(st.integers(2, 40), min_size=2, max_size=8).flatmap(
    lambda counts: st.permutations([label for label, count in enumerate(counts) for _ in range(count)])
)


@given(labels_of_classes, st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_every_class_is_in_both_parts_in_proportion(labels: list[int], share: float, seed: int) -> None:
    classes = [str(i) for i in range(max(labels) + 1)]
    train, test = stratified_split(labels, classes, share, seed, "set")
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert list(train) == sorted(train)
    assert list(test) == sorted(test)
    counts = np.bincount(labels)
    held = np.bincount(np.array(labels)[test], minlength=len(classes))
    assert (held >= 1).all()
    assert (held < counts).all()
    assert (np.abs(held - counts * share) <= 1 + counts * (1 / len(labels))).all()
    again = stratified_split(labels, classes, share, seed, "set")
    assert np.array_equal(test, again[1])


def test_the_share_of_the_whole_is_met_exactly() -> None:
    labels = [0] * 37 + [1] * 41 + [2] * 22
    for share in (0.1, 0.15, 0.2, 0.33):
        assert len(stratified_split(labels, "abc", share, 0, "set")[1]) == math.ceil(share * 100)


def test_another_seed_is_another_split() -> None:
    labels = [0, 1] * 50
    first, second = (stratified_split(labels, "ab", 0.2, seed, "set")[1] for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_the_stream_never_changes() -> None:
    assert stratified_split([0] * 6 + [1] * 6, "ab", 0.34, 7, "set")[1].tolist() == [0, 3, 5, 10, 11]
