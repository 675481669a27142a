"""Laws of stitching: true patches give the object back, whatever phases they come with."""

import math

import pytest
import torch

from ptycho.engines import stitching
from ptycho.engines.stitching import stitch
from ptycho.physics.patches import canvas_of, cut_patches, window_corners

SIZE = 32


def draw(seed):
    return torch.Generator().manual_seed(seed)


def smooth_object(shape, seed=0):
    """A complex object with structure on all scales, amplitude 0.4 to 1, phase over 2 rad."""
    noise = torch.randn(2, 1, *shape, generator=draw(seed))
    fields = [torch.nn.functional.avg_pool2d(noise, k, 1, k // 2) * k for k in (3, 9)]
    amplitude, phase = torch.sigmoid(sum(fields))[:, 0]
    return torch.polar(0.4 + 0.6 * amplitude, 2 * phase)


def gaussian_light(size=SIZE, fwhm=10.0):
    x = torch.arange(size) - size // 2
    return torch.exp(-4 * math.log(2) * (x[:, None] ** 2 + x**2) / fwhm**2)


def raster(step=(4.0, 4.0), n=(12, 11)):
    rows, cols = torch.meshgrid(torch.arange(n[0]), torch.arange(n[1]), indexing="ij")
    return torch.stack([rows.flatten() * step[0], cols.flatten() * step[1]], dim=1).double()


def spiral(n=130, pitch=2.6):
    k = torch.arange(n, dtype=torch.float64)
    angle = k * math.pi * (3 - math.sqrt(5))
    radius = pitch * torch.sqrt(k)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


SCANS = {
    "raster": raster(),
    "anisotropic": raster(step=(7.0, 1.5), n=(7, 30)),
    "spiral": spiral(),
    "repeated": raster().repeat(3, 1),
    "single": raster(n=(1, 1)),
}


def true_patches(positions, size=SIZE, seed=0):
    canvas = canvas_of(positions, size)
    corners = window_corners(positions, size)[0] - torch.tensor(canvas.origin)
    obj = smooth_object(canvas.shape, seed)
    return obj, cut_patches(obj, corners, size), corners


def groups_on(positions, gridsize):
    """Each position with its nearest others, gridsize^2 members, as (patch order, labels)."""
    members = torch.cdist(positions, positions).argsort(dim=1)[:, : gridsize**2]
    labels = torch.arange(len(members)).repeat_interleave(members.shape[1])
    return members.flatten(), labels


def error_up_to_phase(stitched, obj):
    """Largest deviation where light fell, after one common phase is removed."""
    seen = stitched.coverage > 1e-3 * stitched.coverage.max()
    overlap = torch.vdot(stitched.obj[seen], obj[seen])
    return float((stitched.obj * overlap / overlap.abs() - obj)[seen].abs().max())


@pytest.mark.parametrize("gridsize", [1, 2, 3])
@pytest.mark.parametrize("scan", SCANS)
def test_true_patches_with_random_phases_give_the_object_back(scan, gridsize):
    obj, patches, corners = true_patches(SCANS[scan])
    chosen, labels = groups_on(SCANS[scan], gridsize)
    phases = 2 * math.pi * torch.rand(int(labels.max()) + 1, generator=draw(1))
    turned = patches[chosen] * torch.polar(torch.ones_like(phases), phases)[labels, None, None]
    stitched = stitch(turned, corners[chosen], gaussian_light(), tuple(obj.shape), group_of=labels)
    assert error_up_to_phase(stitched, obj) < 1e-5  # float32, some 100 terms per pixel
    # One phase per group, and the one that undoes what was done to it.
    undone = torch.polar(torch.ones_like(stitched.phases), stitched.phases + phases[labels])
    assert (undone - undone[0]).abs().max() < 1e-4


def test_coverage_is_the_sum_of_the_weights_and_dark_pixels_are_zero():
    weights = torch.zeros(2, 2, 2)
    weights[:, 0] = torch.tensor([[1.0, 3.0], [1.0, 0.0]])
    patches = torch.tensor([[[2.0, 4.0], [9.0, 9.0]], [[8.0, 9.0], [9.0, 9.0]]]) + 0j
    corners = torch.tensor([[0, 0], [0, 1]])
    stitched = stitch(patches, corners, weights, (2, 3), rounds=0)
    torch.testing.assert_close(stitched.coverage, torch.tensor([[1.0, 4.0, 0.0], [0, 0, 0]]))
    # Middle pixel: (3 * 4 + 1 * 8) / 4 = 5.
    torch.testing.assert_close(stitched.obj, torch.tensor([[2.0, 5.0, 0], [0, 0, 0]]) + 0j)


def test_two_patches_in_quadrature_meet_half_way():
    patches = torch.stack([torch.ones(4, 4) + 0j, 1j * torch.ones(4, 4)])
    corners = torch.tensor([[0, 0], [0, 2]])
    stitched = stitch(patches, corners, torch.ones(4, 4), (4, 6))
    # Phases 0 and pi/2 agree at pi/4; the mean correction is zero.
    eighth = math.pi / 4
    torch.testing.assert_close(stitched.phases, torch.tensor([eighth, -eighth]))
    torch.testing.assert_close(stitched.obj, torch.full((4, 6), math.sqrt(0.5) * (1 + 1j)))


def test_noisy_patches_agree_better_the_more_they_overlap():
    errors = []
    for step in (8.0, 4.0, 2.0):
        positions = raster(step=(step, step), n=(int(48 / step), int(48 / step)))
        obj, patches, corners = true_patches(positions)
        noise = torch.randn(patches.shape, dtype=torch.complex64, generator=draw(2))
        phases = 6.28 * torch.rand(len(patches), 1, 1, generator=draw(3))
        turned = (patches + 0.2 * noise) * torch.polar(torch.ones_like(phases), phases)
        stitched = stitch(turned, corners, gaussian_light(), tuple(obj.shape))
        left = torch.polar(torch.ones(len(phases)), stitched.phases + phases.flatten())
        errors.append(float((left * left.sum().conj()).angle().square().mean().sqrt()))
    assert errors[0] < 0.1
    assert errors == sorted(errors, reverse=True)


def test_islands_keep_the_mean_phase_they_came_with():
    near = raster(n=(5, 5))
    positions = torch.cat([near, near + 200.0])
    obj, patches, corners = true_patches(positions)
    offsets = torch.cat([torch.full((25,), 0.3), torch.full((25,), -1.1)])
    wobble = 0.2 * torch.tensor([1.0, -1.0]).repeat(25)
    phases = (offsets + wobble)[:, None, None]
    turned = patches * torch.polar(torch.ones_like(phases), phases)
    stitched = stitch(turned, corners, gaussian_light(), tuple(obj.shape))
    left = stitched.phases + phases.flatten()
    # 13 patches up, 12 down by 0.2 rad: phase of 13 e^{.2i} + 12 e^{-.2i}, then of 12 and 13.
    mean = math.atan2(math.sin(0.2), 25 * math.cos(0.2))
    torch.testing.assert_close(left[:25], torch.full((25,), 0.3 + mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(left[25:], torch.full((25,), -1.1 - mean), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [7, 16, 50, 64])
def test_any_window_size_works(size):
    positions = raster(n=(6, 6))
    obj, patches, corners = true_patches(positions, size=size)
    phases = 6.28 * torch.rand(36, 1, 1, generator=draw(4))
    turned = patches * torch.polar(torch.ones_like(phases), phases)
    stitched = stitch(turned, corners, gaussian_light(size, fwhm=6.0), tuple(obj.shape))
    assert error_up_to_phase(stitched, obj) < 1e-5


def test_counts_that_do_not_match_are_refused():
    patches = torch.ones(3, 4, 4, dtype=torch.complex64)
    with pytest.raises(ValueError, match="3 patches, 3 corners, 2 labels; expected one of each"):
        stitch(
            patches, torch.zeros(3, 2, dtype=torch.int64), torch.ones(4, 4), (4, 4),
            group_of=torch.tensor([0, 1]),
        )  # fmt: skip


@pytest.mark.parametrize("strip", [7, 50, 1024])
def test_the_illumination_is_the_sum_of_all_windows(monkeypatch, strip):
    monkeypatch.setattr(stitching, "_STRIP", strip)
    positions = spiral()
    canvas = canvas_of(positions, SIZE).widened(3)
    probe = torch.randn(2, SIZE, SIZE, dtype=torch.complex64, generator=draw(3))
    single = probe.abs().square().sum(dim=0)
    corners = window_corners(positions, SIZE)[0] - torch.tensor(canvas.origin)
    expected = torch.zeros(canvas.shape)
    for row, col in corners.tolist():
        expected[row : row + SIZE, col : col + SIZE] += single / single.max()
    found = stitching.illumination_on(canvas, positions, probe)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert (found[:3] == 0).all()
