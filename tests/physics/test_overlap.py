"""Laws of merging a group on its overlap."""

import pytest
import torch

from ptycho.physics.overlap import merge_on_overlap, merge_weight
from ptycho.physics.patches import cut_patches


def group(n_groups=3, members=4, side=6, span=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, span, (n_groups, members, 2), generator=g)
    patches = torch.randn(n_groups, members, side, side, dtype=torch.complex128, generator=g)
    weight = torch.rand(side, side, dtype=torch.float64, generator=g) + 0.1
    return patches, corners, weight, (side + span, side + span)


def test_patches_that_agree_stay_as_they_are():
    _, corners, weight, shape = group()
    g = torch.Generator().manual_seed(1)
    obj = torch.randn(3, *shape, dtype=torch.complex128, generator=g)
    patches = cut_patches(obj, corners, 6)
    torch.testing.assert_close(merge_on_overlap(patches, corners, weight, shape), patches)


def test_merging_twice_changes_nothing_more():
    patches, corners, weight, shape = group()
    once = merge_on_overlap(patches, corners, weight, shape)
    torch.testing.assert_close(merge_on_overlap(once, corners, weight, shape), once)


def test_two_pixels_that_meet_take_their_weighted_mean():
    """One row: [a0 a1], [b0 b1] one pixel apart, weights [3 1]: the shared pixel is (a1+3 b0)/4."""
    patches = torch.tensor([[[[2.0, 4.0], [0, 0]], [[8.0, 6.0], [0, 0]]]], dtype=torch.complex64)
    corners = torch.tensor([[[0, 0], [0, 1]]])
    weight = torch.tensor([[3.0, 1.0], [3.0, 1.0]])
    merged = merge_on_overlap(patches, corners, weight, (2, 3))
    assert merged[0, 0, 0].tolist() == [2.0, 7.0]
    assert merged[0, 1, 0].tolist() == [7.0, 6.0]


def test_pixels_without_illumination_take_the_plain_mean():
    """Weights of the floor alone: (4 + 8) / 2, where the probe reaches neither."""
    probe = torch.zeros(1, 2, 2, dtype=torch.complex64)
    probe[0, 0, 0] = 1.0
    patches = torch.tensor([[[[2.0, 2.0], [2.0, 4.0]], [[8.0, 8.0], [8.0, 8.0]]]])
    corners = torch.tensor([[[0, 0], [0, 0]]])
    merged = merge_on_overlap(patches.to(torch.complex64), corners, merge_weight(probe), (2, 2))
    torch.testing.assert_close(merged[0, :, 1, 1], torch.full((2,), 6.0 + 0j))


def test_a_window_that_leaves_the_canvas_is_refused():
    patches, corners, weight, (height, width) = group()
    with pytest.raises(ValueError, match="expected inside a canvas"):
        merge_on_overlap(patches, corners + 5, weight, (height, width))


def test_the_order_of_the_members_does_not_matter():
    patches, corners, weight, shape = group()
    order = torch.tensor([2, 0, 3, 1])
    merged = merge_on_overlap(patches, corners, weight, shape)
    turned = merge_on_overlap(patches[:, order], corners[:, order], weight, shape)
    torch.testing.assert_close(turned, merged[:, order])


def test_a_single_member_stays_as_it_is():
    patches, corners, weight, shape = group(members=1)
    assert merge_on_overlap(patches, corners, weight, shape) is patches


def test_weights_follow_the_illumination_and_never_vanish():
    probe = torch.zeros(2, 2, 2, dtype=torch.complex64)
    probe[0, 0, 0], probe[1, 0, 0], probe[0, 1, 1] = 2.0, 1.0j, 1.0
    weight = merge_weight(probe)
    torch.testing.assert_close(weight, torch.tensor([[1.0001, 1e-4], [1e-4, 0.2001]]))
