"""What is excluded by default, its numbers in the file, its record; and silence on sound scans."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ptycho.api.loading import load
from ptycho.api.simulation import simulate
from ptycho.errors import DataError
from ptycho.scan.exclusion import Exclude, Exclusion, boxes
from ptycho.scan.inspection import inspect_scan
from ptycho.scan.raw_data import RawData
from ptycho.scan.sample import sampled
from ptycho.scan.screening import applied, screened
from ptycho.simulation.random_scans import RandomScans
from ptycho.simulation.simulate import simulate_scan

N = 32


@pytest.fixture(scope="module")
def sound():
    return simulate(n_frames=144, N=N, step=2.5, jitter=0.4, probe_fwhm=9.0, photons=2e4, seed=3,
                    amplitude_image="leaves", phase_image="clouds")  # fmt: skip


def written(raw, path, change, **fields):
    frames = np.asarray(raw.frames[:]).astype(np.uint32)
    change(frames)
    replace(raw, frames=frames, **fields).save(path)
    return path


def spoil(frames):
    frames[[10, 12, 60]] = 0
    frames[91] = frames[90]
    frames[30] *= 8
    frames[120] = np.roll(frames[120], 3, axis=1)
    frames[:, :, 20:22] = 0
    frames[[5, 100], 4, 9] = 50000
    frames[:, 2, 3] = 60000


def test_all_kinds_are_excluded_together_with_the_numbers_of_the_file(sound, tmp_path):
    raw = load(written(sound, tmp_path / "a.npz", spoil))
    found = raw.excluded
    assert found.frames == {"blank": (10, 12, 60), "too bright": (30,), "frozen": (91,),
                            "shifted": (120,)}  # fmt: skip
    n_zero = len(found.pixels["reading 0 amid light"])
    assert 20 < n_zero <= 64  # in the dark corners of the frames nothing shows that a pixel is dead
    assert {reason: len(where) for reason, where in found.pixels.items()} == {
        "reading 0 amid light": n_zero, "dead or hot": 1,
    }  # fmt: skip
    assert found.flashes.tolist() == [[5, 4, 9], [100, 4, 9]]
    assert raw.n_frames == 138
    np.testing.assert_array_equal(
        raw.positions, np.delete(sound.positions, [10, 12, 60, 30, 91, 120], axis=0)
    )
    assert not raw.mask[12:20, 20:22].any()
    assert not raw.mask[2, 3]
    assert raw.mask.sum() == N * N - n_zero - 1
    assert raw.numbers[raw.flashes[:, 0]].tolist() == [5, 100]
    first, second, third = raw.warnings
    assert "6 of 144 frames excluded: 3 blank (10,12,60), 1 too bright (30), 1 frozen (91)" in first
    assert f"{n_zero + 1} pixels excluded in all frames: {n_zero} reading 0 amid light (" in second
    assert "1 dead or hot ((2, 3));" in second
    assert "2 flashes of single pixels excluded in 2 of 144 frames (5,100) at (4, 9)" in third
    assert all(line.endswith("--keep_all keeps them") for line in raw.warnings)
    assert not inspect_scan(raw).findings


def test_what_is_read_equals_the_scan_without_the_spoiled_frames(sound, tmp_path):
    def lost(frames):
        frames[20:30] = 0

    raw = load(written(sound, tmp_path / "a.npz", lost))
    kept = sound.subset(np.delete(np.arange(144), range(20, 30)))
    np.testing.assert_array_equal(raw.amplitude(np.arange(134)), kept.amplitude(np.arange(134)))
    np.testing.assert_array_equal(raw.positions, kept.positions)
    assert raw.photons_per_frame() == kept.photons_per_frame()
    assert raw.mask is None


def test_numbers_refer_to_the_file_where_others_are_skipped(sound, tmp_path):
    path = written(sound, tmp_path / "a.npz", spoil)
    raw = load(path, skip_frames="0-7,50")
    assert raw.skipped == (0, 1, 2, 3, 4, 5, 6, 7, 10, 12, 30, 50, 60, 91, 120)
    assert raw.excluded.numbers == [10, 12, 30, 60, 91, 120]
    assert raw.excluded.flashes.tolist() == [[100, 4, 9]]
    assert raw.numbers[raw.flashes[0, 0]] == 100
    assert raw.numbers.tolist() == np.delete(np.arange(144), raw.skipped).tolist()


def test_numbers_refer_to_the_file_where_one_scan_of_several_is_read(sound, tmp_path):
    def lost(frames):
        frames[[10, 11, 31, 61]] = 0

    path = written(sound, tmp_path / "a.npz", lost, scan_index=np.arange(144) % 2)
    raw = load(path, scan=1, skip_frames="5,7")
    assert raw.excluded.frames == {"blank": (11, 31, 61)}
    assert raw.skipped == (5, 7, 11, 31, 61)
    kept = [n for n in range(1, 144, 2) if n not in raw.skipped]
    assert raw.numbers.tolist() == kept
    np.testing.assert_array_equal(raw.positions, sound.positions[kept])


def test_keep_all_reads_the_file_as_it_is(sound, tmp_path):
    path = written(sound, tmp_path / "a.npz", spoil)
    kept, plain = load(path, keep_all=True), RawData.from_file(path)
    numbers = np.arange(144)
    assert kept.intensity(numbers).tobytes() == plain.intensity(numbers).tobytes()
    assert kept.positions.tobytes() == plain.positions.tobytes()
    assert (kept.mask, kept.flashes, kept.skipped) == (None, None, ())
    assert not kept.excluded
    assert any("--skip_frames 91 excludes them" in text for text in kept.warnings)


@pytest.mark.parametrize(("n_lost", "excluded"), [(48, 48), (49, 0)])
def test_more_than_a_third_of_the_frames_is_kept(sound, tmp_path, n_lost, excluded):
    lost = np.random.default_rng(0).permutation(144)[:n_lost]

    def dark(frames):
        frames[lost] = 0
        frames[:, :, 20:22] = 0

    path = written(sound, tmp_path / "a.npz", dark)
    raw = load(path)
    assert len(raw.excluded.numbers) == excluded
    assert raw.n_frames == 144 - excluded
    assert not raw.mask[12:20, 20:22].any()
    if not excluded:
        assert any("more than a third of the 144 frames" in text for text in raw.warnings)
        assert load(path, skip_frames="found").n_frames == 144 - n_lost


def test_stuck_positions_are_excluded_on_request_and_far_ones_by_default(sound, tmp_path):
    rows, cols = sound.ycoords.copy(), sound.xcoords.copy()
    rows[30:36], cols[30:36] = rows[30], cols[30]
    cols[70] += 500000
    path = tmp_path / "a.npz"
    replace(sound, ycoords=rows, xcoords=cols, xcoords_start=None, ycoords_start=None).save(path)
    raw = load(path)
    assert raw.excluded.frames == {"far off": (70,)}
    assert any("have the position of the frame before" in text for text in raw.warnings)
    assert load(path, skip_frames="found").n_frames == 144 - 6
    with pytest.raises(DataError, match="--skip_frames 70"):
        load(path, keep_all=True)


def test_lost_photons_are_found_behind_a_hot_pixel(sound, tmp_path):
    def change(frames):
        frames[40:43] = 0
        frames[:, 2, 3] = 500000  # far more than all other photons

    raw = load(written(sound, tmp_path / "a.npz", change))
    assert raw.excluded.frames == {"blank": (40, 41, 42)}
    assert raw.mask.sum() == N * N - 1


def test_a_flash_is_no_bright_frame(sound, tmp_path):
    def change(frames):
        frames[17, 20, 20] = 10**6

    raw = load(written(sound, tmp_path / "a.npz", change))
    assert raw.n_frames == 144
    assert raw.excluded.flashes.tolist() == [[17, 20, 20]]


def test_an_opaque_place_of_the_sample_is_no_lost_beam():
    made = simulate(N=N, n_frames=400, step=3.0, jitter=0.3, probe_fwhm=8.0, photons=1e5)
    row, col = np.indices(made.obj.shape)
    middle = made.positions.mean(axis=0)
    opaque = np.hypot(row - middle[0], col - middle[1]) < 16
    obj = np.where(opaque, 0.01, 1).astype(np.complex64)
    rng = np.random.default_rng(0)
    raw = simulate_scan(obj, made.probe, made.positions, rng=rng)
    found = {finding.name: finding for finding in inspect_scan(raw).findings}
    assert set(found) == {"opaque_places"}
    assert found["opaque_places"].severity == "note"
    lost = np.asarray(raw.frames[:]).copy()
    lost[20:30] = 0
    named = [f for f in inspect_scan(replace(raw, frames=lost)).findings if f.frames]
    assert set(named[0].frames) == set(range(20, 30))


def test_a_gap_in_a_dark_sample_is_no_bright_frame():
    made = simulate(N=N, n_frames=400, step=2.0, jitter=0.3, probe_fwhm=8.0, photons=1e6)
    row, col = np.indices(made.obj.shape)
    middle = made.positions.mean(axis=0)
    gap = np.hypot(row - middle[0], col - middle[1]) < 9
    obj = np.where(gap, 1, 0.3).astype(np.complex64)
    raw = simulate_scan(obj, made.probe, made.positions, rng=np.random.default_rng(0))
    assert not any(f.frames for f in inspect_scan(raw).findings)
    frames = np.asarray(raw.frames[:]).copy()
    frames[[42, 43, 378]] *= 8
    (found,) = [f for f in inspect_scan(replace(raw, frames=frames)).findings if f.frames]
    assert (found.name, found.frames) == ("bright_frames", (42, 43, 378))


def test_dark_frames_that_are_equal_by_chance_are_not_frozen(sound):
    frames = np.zeros((144, N, N), np.uint32)
    frames[:, 16, 16] = np.arange(144) // 2 % 9
    assert not len(sampled(replace(sound, frames=frames)).repeated)


@pytest.mark.parametrize("shift", [2, 3, -6])
def test_shifted_frames_are_named_and_small_shifts_are_not(sound, shift):
    frames = np.asarray(sound.frames[:]).copy()
    for number in (0, 50, 51, 143):
        frames[number] = np.roll(frames[number], shift, axis=number % 2)
    (found,) = inspect_scan(replace(sound, frames=frames)).findings
    assert (found.name, found.frames) == ("shifted_frames", (0, 50, 51, 143))
    frames[50] = np.roll(np.asarray(sound.frames[50]), 1, axis=0)
    (found,) = inspect_scan(replace(sound, frames=frames)).findings
    assert found.frames == (0, 51, 143)


def test_steps_on_positions_refer_to_the_whole_scan(sound, tmp_path):
    def lost(frames):
        frames[20] = 0

    path = written(sound, tmp_path / "a.npz", lost)
    for steps in ("late", "reverse", "snake"):
        every = load(path, positions=steps, keep_all=True).positions
        np.testing.assert_allclose(
            load(path, positions=steps).positions, np.delete(every, 20, axis=0)
        )


# No false alarm


def scans(seed, n):
    """Random scans of 36 or more frames, of any dose, overlap, contrast and probe."""
    found = []
    for drawn in RandomScans(seed, frame_size=64, pictures=12, probes=24):
        counts = np.rint(drawn.batch.amplitude.numpy() ** 2).astype(np.uint32)
        if counts.shape[1] < 36:
            continue
        where = drawn.batch.corners.numpy() + 32 + drawn.batch.fractions.numpy()
        found.append(
            RawData(
                frames=counts[0], measurement="counts", ycoords=where[0, :, 0],
                xcoords=where[0, :, 1], probe=drawn.probe[0, 0].numpy(),
            )
        )  # fmt: skip
        if len(found) == n:
            return found
    return found


@pytest.mark.parametrize("seed", range(4))
def test_sound_scans_of_every_kind_lose_nothing(seed):
    for raw in scans(seed, 5):
        found, _, lines = screened(lambda numbers, raw=raw: raw, Exclude())
        assert (bool(found.excluded), lines) == (False, [])
        assert found.frames is raw.frames


# The record


def test_an_exclusion_survives_its_record(sound, tmp_path):
    raw = load(written(sound, tmp_path / "a.npz", spoil))
    document = json.loads(json.dumps(raw.excluded.document()))
    assert document["pixels"]["dead or hot"] == ["2-2,3-3"]
    assert document["flashes"] == {"5": "4,9", "100": "4,9"}
    again = Exclusion.from_document(document, N)
    assert again == raw.excluded != Exclusion(size=N)
    assert again.sentences() == raw.excluded.sentences()
    read = applied(RawData.from_file(tmp_path / "a.npz"), again)
    np.testing.assert_array_equal(read.mask, raw.mask)
    assert read.flashes.tolist() == [[5, 4, 9], [100, 4, 9]]
    assert not Exclusion.from_document(None, N)
    with pytest.raises(DataError, match="record of the run"):
        Exclusion.from_document({**document, "pixels": {"x": ["0-40,1-1"]}}, N)


def test_rectangles_by_hand():
    where = np.array([(0, 3), (1, 3), (1, 7), (2, 3), (2, 4), (5, 3)])
    assert boxes(where) == [(0, 1, 3, 3), (1, 1, 7, 7), (2, 2, 3, 4), (5, 5, 3, 3)]
    rng = np.random.default_rng(0)
    random = np.argwhere(rng.random((20, 20)) < 0.4)
    drawn = np.zeros((20, 20), int)
    for r0, r1, c0, c1 in boxes(random):
        drawn[r0 : r1 + 1, c0 : c1 + 1] += 1
    assert np.argwhere(drawn).tolist() == random.tolist()
    assert drawn.max() == 1
