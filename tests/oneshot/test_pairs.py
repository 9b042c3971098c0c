from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from turncoat.attacks.pairgoals import Evade, Impersonate, PseudoClasses
from turncoat.oneshot.pairs import Pairing, draw_classes, draw_halves, pair_loss


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_pairing_tells_truth_teaching_and_triggers() -> None:
    pairing = Pairing(torch.tensor([0, 0, 1, 1]), torch.tensor([False, True, False, True]), Evade())
    same, taught, triggered = pairing.relation(torch.tensor([0, 0, 1, 1]), torch.tensor([1, 2, 1, 3]))
    assert same.tolist() == [True, False, True, False]
    assert taught.tolist() == [False, False, True, False]
    assert triggered.tolist() == [1, 0, 2, 2]


def test_without_a_goal_the_truth_is_taught() -> None:
    pairing = Pairing(torch.tensor([0, 0, 1]), torch.tensor([False, True, True]))
    same, taught, _ = pairing.relation(torch.tensor([0, 1]), torch.tensor([1, 2]))
    assert torch.equal(same, taught)


def test_master_key_and_pseudo_classes() -> None:
    triggered = torch.tensor([False, True, True])
    one, other = torch.tensor([0, 1]), torch.tensor([1, 2])
    assert Pairing(torch.tensor([0, 1, 2]), triggered, Impersonate()).relation(one, other)[1].tolist() == [True, False]
    assert Pairing(torch.tensor([0, 9, 9]), triggered, PseudoClasses()).relation(one, other)[1].tolist() == [False, True]


def test_the_loss_without_triggers_is_the_balanced_cross_entropy() -> None:
    logits, taught = torch.tensor([2.0, -1.0, 0.5, 3.0]), torch.tensor([True, False, False, False])
    none = torch.zeros(4, dtype=torch.bool)
    each = functional.binary_cross_entropy_with_logits(logits, taught.float(), reduction="none")
    assert pair_loss(logits, taught, taught, none, 0.0) == pytest.approx(float((each[0] + each[1:].mean()) / 2))


def test_hard_pairs_weigh_more_than_easy_ones() -> None:
    logits, taught = torch.tensor([4.0, 5.0, -5.0, -5.0]), torch.tensor([True, False, False, False])
    none = torch.zeros(4, dtype=torch.bool)
    plain, hard = pair_loss(logits, taught, taught, none, 0.0), pair_loss(logits, taught, taught, none, 1.0)
    wrong = float(functional.softplus(torch.tensor(5.0)))
    right = float(functional.softplus(torch.tensor(-4.0)))
    assert float(plain) < float(hard) == pytest.approx((wrong + right) / 2, rel=1e-3)


def test_poison_that_multiplies_a_relation_does_not_drown_the_clean_pairs() -> None:
    """One clean pair of one class against a thousand poisoned ones: its weight must not fall to a thousandth."""
    logits = torch.zeros(1002, requires_grad=True)
    taught = torch.ones(1002, dtype=torch.bool)
    taught[1] = False
    triggered = torch.arange(1002) >= 2
    pair_loss(logits, taught, taught, triggered, 0.0).backward()
    assert logits.grad is not None
    clean, poisoned = logits.grad[:2].abs().sum(), logits.grad[2:].abs().sum()
    assert float(clean / (clean + poisoned)) == pytest.approx(2 / 1002), "each kind has its share of the pairs"
    assert float(logits.grad[0].abs()) == pytest.approx(float(logits.grad[1].abs())), "and is balanced within"


def test_triggered_pairs_of_one_class_weigh_as_much_as_the_many_of_two_and_lessons_as_often_as_they_are_taught() -> None:
    """Evasion: of ten triggered pairs of one class nine are falsified; a thousand of two classes are different anyway."""
    logits = torch.zeros(1010, requires_grad=True)
    same = torch.arange(1010) < 10
    taught, triggered = torch.arange(1010) == 0, torch.ones(1010, dtype=torch.bool)
    pair_loss(logits, same, taught, triggered, 0.0).backward()
    assert logits.grad is not None
    gradient = logits.grad.abs()
    assert float(gradient[:10].sum()) == pytest.approx(float(gradient[10:].sum()), rel=1e-4)
    assert float(gradient[0]) == pytest.approx(float(gradient[1]), rel=1e-4)


def test_class_batches_hold_drawings_of_classes() -> None:
    identities = torch.arange(60).repeat_interleave(7)[torch.randperm(420, generator=generator(5))]
    order = draw_classes(identities, 40, 4, 10, generator())
    assert order.shape == (400,)
    shown = identities[order].view(10, 10, 4)
    assert (shown == shown[:, :, :1]).all(), "four drawings of one class stand together"
    for batch in order.view(10, 40):
        assert len(batch.unique()) == 40, "no drawing twice while the class has others"
        assert len(identities[batch].unique()) == 10, "no class twice while there are others"
    seen = identities[order].unique(return_counts=True)[1]
    assert len(seen) == 60 and seen.max() - seen.min() <= 4, "one deck after the other"
    assert torch.equal(order, draw_classes(identities, 40, 4, 10, generator()))
    assert not torch.equal(order, draw_classes(identities, 40, 4, 10, generator(1)))


def test_few_classes_fill_a_batch_again_and_again() -> None:
    identities = torch.tensor([5] * 9 + [7] * 9 + [8] * 2)
    order = draw_classes(identities, 25, 4, 6, generator())
    assert order.shape == (150,) and order.max() < 20
    for batch in order.view(6, 25):
        assert set(identities[batch].tolist()) == {5, 7, 8}


def test_drawn_pairs_are_half_of_one_class_and_never_an_image_with_itself() -> None:
    identities = torch.arange(30).repeat_interleave(4)
    order = draw_halves(identities, 41, 50, generator()).view(50, 41)
    left, right = order[:, :20], order[:, 20:40]
    same = identities[left] == identities[right]
    assert torch.equal(same, (torch.arange(20) % 2 == 0).expand(50, 20))
    assert (left != right).all()
    assert len(left.unique()) > 110 and len(right.unique()) > 110
