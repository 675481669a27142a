"""Groups of frames as batches: where the windows lie, what is read, and in which order."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptycho.errors import ConfigError, DataError
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData

N = 8
COUNTS = np.random.default_rng(0).poisson(20, (40, N, N)).astype(np.uint16)


def scan(positions, **changes):
    """Frames of counts at some (row, col)."""
    row, col = np.asarray(positions, dtype=np.float64).T
    fields = {
        "frames": COUNTS[: len(row)],
        "measurement": "counts",
        "xcoords": col,
        "ycoords": row,
        "probe": np.ones((N, N)),
    }
    return RawData(**fields | changes)


def spread(n=40):
    return 30 * np.random.default_rng(1).standard_normal((n, 2))


@given(seed=st.integers(0, 1000), members=st.sampled_from([1, 4]), far=st.sampled_from([0, 1e6]))
def test_corners_and_fractions_reassemble_the_positions(seed, members, far):
    rng = np.random.default_rng(seed)
    positions = far + 10 * rng.standard_normal((12, 2))
    batch = GroupDataset(scan(positions), rng.integers(0, 12, (3, members)))[range(3)]
    origin = positions[batch.members] - (batch.corners + N // 2 + batch.fractions).numpy()
    # One whole-pixel origin per group; fractions are kept in float32.
    np.testing.assert_allclose(origin, np.broadcast_to(origin[:, :1], origin.shape), atol=1e-6)
    np.testing.assert_allclose(origin, np.round(origin), atol=1e-6)
    assert (batch.fractions >= -0.5).all()
    assert (batch.fractions < 0.5).all()


def test_every_group_starts_at_its_own_zero_and_the_canvas_just_holds_all_windows():
    groups = np.random.default_rng(2).integers(0, 40, (9, 4))
    batch = GroupDataset(scan(spread()), groups)[range(9)]
    assert not batch.corners.amin(dim=1).any()
    assert batch.shape == tuple((batch.corners.amax(dim=(0, 1)) + N).tolist())


def test_two_windows_by_hand():
    # Nearest pixels (10, 21) and (13, 19): half a pixel rounds up. First rows 6 and 9, columns 17
    # and 15, so the group's canvas begins at (6, 15) and is 11 x 10.
    raw = scan([(10.25, 20.5), (12.75, 19.0)])
    batch = GroupDataset(raw, np.array([[0, 1]]))[[0]]
    assert batch.corners.tolist() == [[[0, 2], [3, 0]]]
    assert batch.fractions.tolist() == [[[0.25, -0.5], [-0.25, 0.0]]]
    assert batch.members.tolist() == [[0, 1]]
    assert batch.shape == (11, 10)
    np.testing.assert_allclose(batch.amplitude[0] ** 2, COUNTS[:2], rtol=1e-6)


def test_only_the_frames_of_the_batch_are_read(tmp_path, monkeypatch):
    scan(spread()).save(tmp_path / "scan.npz")
    raw = RawData.from_file(tmp_path / "scan.npz")
    assert isinstance(raw.frames, np.memmap)
    read = []
    amplitude = RawData.amplitude

    def noting(self, indices):
        read.append(np.asarray(indices).tolist())
        return amplitude(self, indices)

    monkeypatch.setattr(RawData, "amplitude", noting)
    data = GroupDataset(raw, np.array([[3, 1], [7, 9], [20, 3]]))
    assert read == []
    batch = data[[2, 0]]
    assert read == [[20, 3, 3, 1]]
    np.testing.assert_allclose(
        batch.amplitude**2, COUNTS[[20, 3, 3, 1]].reshape(2, 2, N, N), rtol=1e-6
    )


def test_a_damaged_frame_is_met_when_its_batch_is_read():
    frames = COUNTS.astype(np.float32)
    frames[1, 0, 0] = np.nan
    data = GroupDataset(scan(spread(), frames=frames), np.array([[0, 2], [1, 3]]))
    assert torch.isfinite(data[[0]].amplitude).all()
    with pytest.raises(DataError, match="frame 1 holds nan in 1 of 64 pixels"):
        data[[1]]


@pytest.mark.parametrize("members", [1, 4])
def test_no_groups_are_refused(members):
    with pytest.raises(ConfigError, match="groups: none given; expected at least 1"):
        GroupDataset(scan(spread()), np.empty((0, members), np.int32))


@pytest.mark.parametrize(("size", "lengths"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (50, [7])])
def test_batches_hold_every_group_once_and_in_order(size, lengths):
    groups = np.random.default_rng(3).integers(0, 40, (7, 4))
    data = GroupDataset(scan(spread()), groups)
    batches = list(data.batches(size))
    assert len(data) == 7
    assert [len(batch.members) for batch in batches] == lengths
    np.testing.assert_array_equal(torch.cat([b.members for b in batches]), groups)


def test_counts_intensity_and_amplitude_of_the_same_photons_are_the_same_batch():
    positions = spread()
    as_counts = scan(positions)
    as_intensity = scan(positions, frames=COUNTS.astype(np.float32), measurement="intensity")
    as_amplitude = scan(
        positions, frames=np.sqrt(COUNTS, dtype=np.float64), measurement="amplitude"
    )
    groups = np.arange(40).reshape(10, 4)
    first, second, third = (
        GroupDataset(raw, groups)[range(10)] for raw in (as_counts, as_intensity, as_amplitude)
    )
    torch.testing.assert_close(first.amplitude, second.amplitude)
    torch.testing.assert_close(first.amplitude, third.amplitude)
    assert first.amplitude.dtype == third.amplitude.dtype == torch.float32


def test_a_batch_moves_as_a_whole():
    batch = GroupDataset(scan(spread()), np.arange(40).reshape(10, 4))[range(10)]
    moved = batch.to("meta", non_blocking=True)  # the one other device that is always there
    assert moved.shape == batch.shape
    for field in dataclasses.fields(batch):
        before, after = getattr(batch, field.name), getattr(moved, field.name)
        if isinstance(before, torch.Tensor):
            assert (before.device.type, after.device.type) == ("cpu", "meta")
            assert (before.shape, before.dtype) == (after.shape, after.dtype)
