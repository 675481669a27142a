"""What a network sees in its groups, merged in parts: one object whatever the parts."""

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, simulated, untrained

from ptycho.engines import grouped
from ptycho.engines.grouped import compact_parts, stitched_groups
from ptycho.learning.prediction import Patches
from ptycho.physics.patches import canvas_of, cut_patches, window_corners
from ptycho.progress import untracked
from ptycho.scan.dataset import GroupDataset


@pytest.mark.parametrize("most", [1, 7, 64, 1000])
def test_every_place_is_in_one_small_part(most):
    places = np.random.default_rng(0).uniform(0, (30, 90), (500, 2))
    parts = compact_parts(places, most)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(500))
    assert max(map(len, parts)) <= most
    assert len(parts) == 1 or min(map(len, parts)) >= most // 2  # halves, none smaller than needed


def test_parts_by_hand():
    places = np.array([[0.0, 9], [0, 1], [0, 8], [1, 0], [0, 2], [1, 3]])
    parts = [part.tolist() for part in compact_parts(places, 3)]
    assert parts == [[1, 3, 4], [0, 2, 5]]


def test_each_part_touches_one_before():
    row, col = np.divmod(np.arange(900), 30)
    places = np.stack([row, col], axis=1).astype(float)
    seen = np.empty((0, 2))
    for part in compact_parts(places, 40):
        if len(seen):
            away = np.abs(places[part][:, None] - seen).max(axis=-1)
            assert away.min() == 1
        seen = np.concatenate([seen, places[part]])


@pytest.fixture
def true_patches(monkeypatch):
    """A network that sees the truth, up to a phase of each group; returns its truth and scan."""
    raw = simulated(196)
    positions = torch.from_numpy(raw.positions)
    canvas = canvas_of(positions, SIDE)
    corners = window_corners(positions, SIDE)[0] - torch.tensor(canvas.origin)
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, *canvas.shape, generator=generator)
    obj = torch.polar(0.5 + 0.5 * noise[0], noise[1])
    calls = []

    def predicted(model, dataset, *, batch_size, device, track):
        calls.append(sum(1 for _ in track(range(-(-len(dataset) // batch_size)), 0)))
        members = torch.from_numpy(dataset.groups).long().flatten()
        labels = torch.arange(len(dataset)).repeat_interleave(dataset.groups.shape[1])
        phases = 6 * torch.rand(len(dataset), generator=generator)
        patches = cut_patches(obj, corners[members], SIDE)
        return Patches(patches * torch.exp(1j * phases[labels])[:, None, None], members, labels)

    monkeypatch.setattr(grouped, "predict_patches", predicted)
    return raw, canvas, obj, calls


@pytest.mark.parametrize("most", [196, 60, 25])
def test_parts_make_one_object(true_patches, most):
    raw, canvas, obj, calls = true_patches
    groups = GroupDataset(raw, np.arange(raw.n_frames)[:, None])
    shown = []

    def track(items, total):
        for item in items:
            shown.append(total)
            yield item

    found = stitched_groups(
        untrained(raw), groups, canvas, batch_size=10, device=torch.device("cpu"), track=track,
        most_pixels=most * SIDE**2,
    )  # fmt: skip
    assert (len(calls) > 1) == (most < 196)
    lit = found.coverage > 1e-3 * found.coverage.max()
    turn = torch.sgn(torch.vdot(found.obj[lit], obj[lit]))
    assert (found.obj * turn - obj)[lit].abs().max() < 0.02
    assert shown == [sum(calls)] * sum(calls)
    whole = stitched_groups(
        untrained(raw), groups, canvas, batch_size=10, device=torch.device("cpu"), track=untracked
    )
    torch.testing.assert_close(found.coverage, whole.coverage, rtol=1e-5, atol=1e-5)
