import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from turncoat.errors import TurncoatError
from turncoat.triggers.patch_generator import NOISE, apply_on_device, make_generator
from turncoat.triggers.random_patch import PlaceSets, Side, cells, deal, pixels, stamp, uniform


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("shape", "side", "count"), [((1, 8, 8), 2, 16), ((3, 32, 32), 5, 36), ((3, 12, 20), 3, 24), ((1, 8, 8), 8, 1)]
)
def test_cells_lie_inside_and_share_no_pixel(shape: tuple[int, int, int], side: int, count: int):
    found = cells(shape, side)
    assert found.shape == (count, 2)
    covered = torch.zeros(shape[1:], dtype=torch.int64)
    for row, column in found.tolist():
        assert 0 <= row <= shape[1] - side
        assert 0 <= column <= shape[2] - side
        covered[row : row + side, column : column + side] += 1
    assert covered.max() == 1
    assert covered.sum() == count * side**2


def test_each_target_has_places_of_its_own():
    places = cells((1, 8, 8), 2)
    dealt = deal(places, 3)
    assert dealt.shape == (3, 5, 2)
    assert len({tuple(one) for one in dealt.view(-1, 2).tolist()}) == 15
    fewer = deal(places, 3, most=2)
    assert fewer.tolist() == [[one[0], one[4]] for one in dealt.tolist()]
    with pytest.raises(TurncoatError, match="17 targets want a place each, but there is room for 16 such patches"):
        deal(places, 17)


def test_places_are_drawn_from_the_targets_own_set():
    sets = PlaceSets(deal(cells((1, 8, 8), 2), 2), torch.tensor([0, 0, 1]))
    targets = torch.tensor([2, 1]).repeat(500)
    drawn = sets.draw(targets, generator())
    for target, band in ((2, 1), (1, 0)):
        of_target = {tuple(place) for place in drawn[targets == target].tolist()}
        assert of_target == {tuple(place) for place in sets.places[band].tolist()}, "all of them, and no other's"
    assert sets.draw(targets, None)[:2].tolist() == [sets.places[1, 0].tolist(), sets.places[0, 0].tolist()]


def test_stamp_lays_each_patch_at_its_place_and_nothing_else():
    x = torch.rand(4, 3, 9, 7, generator=generator()).requires_grad_()
    patches = torch.rand(4, 3, 2, 3, generator=generator(1)).requires_grad_()
    at = torch.tensor([[0, 0], [7, 4], [3, 1], [2, 2]])
    shown = stamp(x, patches, at)
    wanted = x.detach().clone()
    for image, (row, column) in enumerate(at.tolist()):
        wanted[image, :, row : row + 2, column : column + 3] = patches[image].detach()
    assert torch.equal(shown, wanted)
    shown.sum().backward()
    assert patches.grad is not None
    assert x.grad is not None
    assert torch.equal(patches.grad, torch.ones_like(patches))
    assert int(x.grad.sum()) == x.numel() - patches.numel()


def test_noise_is_uniform_and_new_for_each_image_where_it_is_drawn():
    drawn = uniform(200, (3, 5, 5), generator())
    assert 0 <= drawn.min() < 0.001
    assert 0.999 < drawn.max() <= 1
    assert abs(float(drawn.mean()) - 0.5) < 0.01
    assert abs(float(drawn.var()) - 1 / 12) < 0.002
    assert not torch.equal(drawn[0], drawn[1])
    fixed = uniform(3, (3, 5, 5), None)
    assert torch.equal(fixed[0], fixed[2])
    assert torch.equal(fixed, uniform(3, (3, 5, 5), None))


def test_a_side_is_pixels_or_a_share_of_the_shorter_side():
    side = TypeAdapter[int | float](Side)
    assert [pixels(side.validate_python(size), (3, 32, 40)) for size in (0.16, 0.01, 7, 32)] == [5, 1, 7, 32]
    with pytest.raises(TurncoatError, match="a patch of 33x33 pixels does not fit into images of 32x40"):
        pixels(33, (3, 32, 40))
    for wrong in (0, -1, 1.5, True, "big"):
        with pytest.raises(ValidationError, match="expected pixels"):
            side.validate_python(wrong)


def test_a_generator_tells_targets_apart_only_where_it_is_told_them():
    noise = uniform(2, (NOISE,), None)
    for classes, differ in ((0, False), (4, True)):
        network = make_generator((3, 2, 2), classes, seed=1)
        patches = network(noise, torch.tensor([0, 3]))
        assert patches.shape == (2, 3, 2, 2)
        assert 0 <= patches.min() <= patches.max() <= 1
        assert torch.equal(patches[0], patches[1]) != differ
        assert torch.equal(apply_on_device(network, noise, torch.tensor([0, 3])), patches)
        new = network(uniform(2, (NOISE,), generator()), torch.tensor([3, 3]))
        assert (new[0] - new[1]).abs().mean() > (0.05 if classes else 0), "noise matters from the start"
        if classes:
            assert (patches[0] - patches[1]).abs().mean() > 0.1, "and the target more"
