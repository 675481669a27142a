"""Groups of frames as batches: where the windows lie, what is read, and in which order."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptycho.errors import ConfigError, DataError
from ptycho.experiment import Experiment
from ptycho.physics.forward import forward_model
from ptycho.scan.dataset import GroupDataset, ManyScans, default_batch_size
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
    with pytest.raises(ConfigError, match="groups: 0 given; expected 1 or more"):
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


MASK = np.random.default_rng(4).random((N, N)) > 0.1
NEAR = Experiment(propagation="near", fresnel_number=0.5, blur=0.7)
PARTS = {"mask": MASK, "background": 0.5, "experiment": NEAR}


def tensors_in(value):
    """Every tensor of a value, however deep."""
    if isinstance(value, torch.Tensor):
        yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from tensors_in(getattr(value, field.name))


def test_a_batch_moves_as_a_whole():
    raw = scan(spread(), **PARTS)
    data = GroupDataset(raw, np.arange(40).reshape(10, 4), probe=torch.from_numpy(raw.probe))
    batch = data[range(10)]
    moved = batch.to("meta", non_blocking=True)  # the one other device that is always there
    assert moved.shape == batch.shape
    pairs = list(zip(tensors_in(batch), tensors_in(moved), strict=True))
    # Amplitude, corners, fractions, members, mask, background, probe, and those of the forward
    # model: the kernel of its propagator, the matrix of its detector.
    assert len(pairs) == 9
    for before, after in pairs:
        assert (before.device.type, after.device.type) == ("cpu", "meta")
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
    assert moved.measured.excluded.device.type == "meta"


def test_a_batch_without_mask_background_or_probe_moves_too():
    batch = GroupDataset(scan(spread()), np.arange(40).reshape(10, 4))[range(10)].to("meta")
    assert (batch.mask, batch.background, batch.probe) == (None, None, None)
    assert {tensor.device.type for tensor in tensors_in(batch)} == {"meta"}


def test_mask_background_and_forward_model_are_those_of_the_scan():
    raw = scan(spread(), **PARTS)
    raw = dataclasses.replace(raw, photons_per_unit=3.0)
    data = GroupDataset(raw, np.arange(40).reshape(10, 4))
    batch = data[[2, 5]]
    np.testing.assert_array_equal(batch.mask, MASK)
    np.testing.assert_array_equal(batch.background, np.full((N, N), 1.5))  # 0.5 of 3 photons
    torch.testing.assert_close(data.background, batch.background)
    amplitude, excluded, background, *_ = batch.measured
    assert amplitude is batch.amplitude
    np.testing.assert_array_equal(excluded, ~MASK)
    assert background is batch.background
    assert not amplitude[:, :, ~torch.from_numpy(MASK)].any()
    wave = torch.ones(N, N, dtype=torch.complex64)
    torch.testing.assert_close(
        batch.forward.intensity(wave, wave[None]),
        forward_model(NEAR, N).intensity(wave, wave[None]),
    )


def test_nothing_is_excluded_or_added_where_the_scan_says_nothing():
    batch = GroupDataset(scan(spread()), np.arange(40)[:, None])[[0]]
    assert batch.measured.excluded is None
    assert batch.measured.background is None


def test_a_scan_whose_experiment_does_not_suit_its_frames_is_refused():
    raw = scan(spread(), experiment=Experiment(propagation="near", fresnel_number=0.01))
    with pytest.raises(ConfigError, match=r"fresnel_number: 0.01 in frames of 8 pixels"):
        GroupDataset(raw, np.arange(4)[:, None])


def part(n_groups, **changes):
    groups = np.random.default_rng(3).integers(0, 40, (n_groups, 4))
    return GroupDataset(scan(spread(), **changes), groups)


def test_several_scans_are_read_one_batch_of_one_scan_at_a_time():
    parts = [part(5), part(3, experiment=NEAR)]
    both = ManyScans(parts)
    assert len(both) == 8
    numbers = both.batch_numbers(2)
    assert numbers == [[0, 1], [2, 3], [4], [5, 6], [7]]
    batches = [both[chosen] for chosen in numbers]
    members = torch.cat([batch.members for batch in batches])
    np.testing.assert_array_equal(members, np.concatenate([p.groups for p in parts]))
    for batch, source in zip(batches, [parts[0]] * 3 + [parts[1]] * 2, strict=True):
        assert batch.forward is source.forward


def test_shuffled_batches_hold_every_group_once():
    both = ManyScans([part(5), part(3)])
    orders = [both.batch_numbers(2, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    for order in orders:
        assert sorted(number for batch in order for number in batch) == list(range(8))
        assert all(max(batch) < 5 or min(batch) >= 5 for batch in order)


@pytest.mark.parametrize(
    ("members", "size", "groups"), [(4, 64, 16), (1, 64, 64), (4, 128, 4), (4, 32, 16), (99, 64, 1)]
)
def test_the_usual_batch_holds_as_many_pixels(members, size, groups):
    """64 frames of 64 x 64, a quarter as many of 128 x 128; one group at least."""
    assert default_batch_size(members, size, 64) == groups
