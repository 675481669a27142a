"""Laws of the simulated experiment: energy, statistics, truth, seeds."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ptycho.api.simulation import simulated
from ptycho.commands import simulate as workflow
from ptycho.errors import ConfigError, DataError
from ptycho.experiment import Experiment, Geometry
from ptycho.physics.forward import ForwardModel
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import from_mapping
from ptycho.settings.simulate import SimulateConfig
from ptycho.simulation.noise import count_photons, smallest_counts
from ptycho.simulation.objects import make_object
from ptycho.simulation.probes import make_probe
from ptycho.simulation.scans import fermat_scan, place_scan
from ptycho.simulation.simulate import expected_frames, simulate_scan


def rng(seed=0):
    return np.random.default_rng(seed)


def parts(n_frames=20, size=32, photons=1e4, amplitude="camera", phase="coins", n_modes=1):
    scan = fermat_scan(n_frames, step=4.0, jitter=0.3, rng=rng())
    positions, shape = place_scan(scan, size)
    probe = make_probe("disc", size, fwhm=8.0, photons=photons, n_modes=n_modes)
    return make_object(shape, amplitude, phase, rng=rng()), probe, positions


def config(**changed):
    fields = {
        "output": Path("scan.npz"),
        "n_frames": 30,
        "N": 32,
        "probe_fwhm": 8.0,
        "photons": 1e4,
    }
    return SimulateConfig(**{**fields, **changed})


NEAR = Experiment(propagation="near", fresnel_number=0.3)
EXPERIMENTS = {
    "far": Experiment(),
    "near": NEAR,
    "far, blurred": Experiment(blur=0.8),
    "near, blurred": replace(NEAR, blur=0.8),
}
of_every_experiment = pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)


@of_every_experiment
@pytest.mark.parametrize("n_modes", [1, 3])
def test_empty_space_passes_every_photon_to_the_detector(n_modes, experiment):
    obj, probe, positions = parts(amplitude="flat", phase="flat", n_modes=n_modes)
    frames = np.concatenate(list(expected_frames(obj, probe, positions, experiment=experiment)))
    # float32 transforms of 1,024 pixels.
    np.testing.assert_allclose(frames.sum(axis=(1, 2)), 1e4, rtol=1e-5)


@of_every_experiment
def test_a_pure_phase_object_keeps_the_energy_and_an_absorbing_one_loses_some(experiment):
    obj, probe, positions = parts(amplitude="flat")
    clear = np.concatenate(list(expected_frames(obj, probe, positions, experiment=experiment)))
    np.testing.assert_allclose(clear.sum(axis=(1, 2)), 1e4, rtol=1e-5)
    grey = np.concatenate(list(expected_frames(0.5 * obj, probe, positions, experiment=experiment)))
    np.testing.assert_allclose(grey, 0.25 * clear, rtol=1e-5, atol=1e-6)


def shifted(wave, row, col):
    """A wave moved by (row, col) pixels, by the shift theorem, in double precision."""
    k = np.fft.fftfreq(len(wave))
    ramp = np.exp(-2j * np.pi * (k[:, None] * row + k * col))
    return np.fft.ifft2(np.fft.fft2(wave) * ramp)


def far_by_sums(wave):
    """The far field by its definition: sums over all pixels, pixel N//2 on the axis."""
    axis = np.arange(len(wave)) - len(wave) // 2
    matrix = np.exp(-2j * np.pi * np.outer(axis, axis) / len(wave)) / np.sqrt(len(wave))
    return matrix @ wave @ matrix.T


def near_by_sums(wave, number):
    """The near field by its definition: a sum of plane waves, each with its phase."""
    axis, k = np.arange(len(wave)), np.fft.fftfreq(len(wave))
    forth = np.exp(-2j * np.pi * np.outer(k, axis))
    back = forth.conj().T / len(wave)
    spectrum = forth @ wave @ forth.T
    return back @ (spectrum * np.exp(-1j * np.pi * (k[:, None] ** 2 + k**2) / number)) @ back.T


def blurred_by_sums(photons, blur):
    """A frame after a periodic Gaussian point spread, pixel by pixel."""
    size = len(photons)
    apart = np.minimum(np.arange(size), size - np.arange(size))
    spread = np.exp(-(apart[:, None] ** 2 + apart**2) / (2 * blur**2))
    spread /= spread.sum()
    moved = (np.roll(spread, (r, c), axis=(0, 1)) for r, c in np.ndindex(photons.shape))
    return sum(n * point for n, point in zip(photons.ravel(), moved, strict=True))


def frame_by_sums(obj, probe, position, experiment):
    """One frame in double precision, with plain NumPy."""
    size = probe.shape[-1]
    pixel = np.floor(position + 0.5)
    row, col = pixel.astype(int) - size // 2
    patch = obj[row : row + size, col : col + size].astype(np.complex128)
    waves = [shifted(mode.astype(np.complex128), *(position - pixel)) * patch for mode in probe]
    if experiment.propagation == "near":
        number = experiment.fresnel_number or experiment.geometry.fresnel_number()
        waves = [near_by_sums(wave, number) for wave in waves]
    else:
        waves = [far_by_sums(wave) for wave in waves]
    photons = sum(np.abs(wave) ** 2 for wave in waves)
    return blurred_by_sums(photons, experiment.blur) if experiment.blur else photons


@of_every_experiment
@pytest.mark.parametrize(("size", "n_modes"), [(16, 1), (16, 2), (15, 2)])
def test_frames_are_those_of_the_formula(experiment, size, n_modes):
    rng_, n_frames = rng(3), 6
    shape = (n_modes, size, size)
    probe = (rng_.normal(size=shape) + 1j * rng_.normal(size=shape)).astype(np.complex64)
    obj = (rng_.normal(size=(40, 44)) + 1j * rng_.normal(size=(40, 44))).astype(np.complex64)
    positions = rng_.uniform(size, 40 - size, (n_frames, 2))
    frames = np.concatenate(list(expected_frames(obj, probe, positions, experiment=experiment)))
    expected = [frame_by_sums(obj, probe, position, experiment) for position in positions]
    # complex64, fractions in float32; a frame has some 4 photons per pixel and mode.
    np.testing.assert_allclose(frames, expected, rtol=1e-3, atol=1e-3)


def test_the_geometry_of_a_near_field_is_enough():
    """(50 um)^2 / (1 nm * 8 m) = 0.3125."""
    geometry = Geometry(wavelength_m=1e-9, distance_m=8.0, detector_pixel_m=50e-6)
    obj, probe, positions = parts(size=16)
    by_geometry, by_number = (
        simulate_scan(obj, probe, positions, rng=None, experiment=experiment)
        for experiment in (
            Experiment(propagation="near", geometry=geometry),
            Experiment(propagation="near", fresnel_number=0.3125),
        )
    )
    np.testing.assert_allclose(by_geometry.frames, by_number.frames, rtol=1e-5, atol=1e-5)


def test_a_whole_pixel_frame_is_the_plain_transform_of_probe_times_object():
    obj, probe, _ = parts()
    frame = next(expected_frames(obj, probe, np.array([[20.0, 21.0]])))[0]
    patch = obj[20 - 16 : 20 + 16, 21 - 16 : 21 + 16]
    wave = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe[0] * patch), norm="ortho"))
    np.testing.assert_allclose(frame, np.abs(wave) ** 2, rtol=1e-3, atol=1e-3)  # complex64


def test_moving_object_and_position_together_changes_nothing():
    obj, probe, positions = parts()
    moved = np.pad(obj, ((5, 0), (3, 0)))
    here = np.concatenate(list(expected_frames(obj, probe, positions)))
    there = np.concatenate(list(expected_frames(moved, probe, positions + np.array([5, 3]))))
    np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-3)  # fractions in float32


def test_batches_only_cut_the_work():
    obj, probe, positions = parts()
    whole = np.concatenate(list(expected_frames(obj, probe, positions)))
    cut = np.concatenate(list(expected_frames(obj, probe, positions, batch_size=7)))
    np.testing.assert_allclose(whole, cut, rtol=1e-4, atol=1e-4)


def test_counts_have_the_mean_and_the_variance_of_the_expectation():
    counts = count_photons(np.full((400, 16, 16), 7.0, np.float32), background=2.0, rng=rng())
    assert counts.dtype == np.uint16
    # 102,400 draws of Poisson(9): mean known to 0.1 %, variance to 0.5 %; five deviations.
    assert counts.mean() == pytest.approx(9.0, rel=0.005)
    assert counts.var() == pytest.approx(9.0, rel=0.025)


def test_dark_pixels_stay_dark_and_rounding_below_zero_is_none():
    assert not count_photons(np.array([[[0.0, -1e-7]]]), rng=rng()).any()


@pytest.mark.parametrize(
    ("brightest", "dtype"), [(0, np.uint16), (65535, np.uint16), (65536, np.uint32)]
)
def test_counts_are_kept_in_the_smallest_type_that_holds_them(brightest, dtype):
    assert smallest_counts(brightest) is dtype


def test_one_bright_batch_widens_all_frames():
    obj, probe, positions = parts(n_frames=300, size=16, photons=1e8)
    raw = simulate_scan(obj, probe, positions, rng=rng())
    assert raw.frames.dtype == np.uint32
    bright = raw.frames.max()
    assert bright > 65535
    totals = raw.frames.sum(axis=(1, 2), dtype=np.int64)
    expected = np.concatenate(list(expected_frames(obj, probe, positions))).sum(axis=(1, 2))
    np.testing.assert_allclose(totals, expected, rtol=1e-3)  # deviation 1e-4 at 1e8 photons


def test_noise_free_frames_are_the_truth_seen_through_the_forward_model():
    obj, probe, positions = parts()
    raw = simulate_scan(obj, probe, positions, rng=None)
    assert raw.measurement == "intensity"
    assert raw.frames.dtype == np.float32
    np.testing.assert_array_equal(raw.obj, obj)
    np.testing.assert_array_equal(raw.positions, positions)
    expected = np.concatenate(list(expected_frames(raw.obj, raw.probe, raw.positions)))
    np.testing.assert_array_equal(raw.frames, expected)


def test_a_probe_alone_on_the_optical_axis_by_hand():
    # A 4 x 4 probe of ones carries 16 photons; all land on the centre pixel of its far field.
    wave = torch.ones(1, 4, 4, dtype=torch.complex64)
    frame = ForwardModel().intensity(torch.ones_like(wave[0]), wave).numpy()
    expected = np.zeros((4, 4))
    expected[2, 2] = 16.0
    np.testing.assert_allclose(frame, expected, atol=1e-6)
    frame = next(
        expected_frames(np.ones((6, 6), np.complex64), wave.numpy(), np.array([[3.0, 3.0]]))
    )
    np.testing.assert_allclose(frame[0], expected, atol=1e-6)


@of_every_experiment
@pytest.mark.parametrize("noise", [False, True])
def test_a_scan_is_read_back_with_its_experiment(tmp_path, experiment, noise):
    obj, probe, positions = parts(n_frames=9, size=16)
    made = simulate_scan(obj, probe, positions, rng=rng() if noise else None, experiment=experiment)
    assert made.experiment == experiment
    made.save(tmp_path / "scan.npz")
    read = RawData.from_file(tmp_path / "scan.npz")
    assert read.experiment == experiment
    np.testing.assert_array_equal(read.frames, made.frames)
    assert read.subset(slice(3)).experiment == experiment


def test_the_usual_experiment_leaves_no_entry_in_the_file(tmp_path):
    obj, probe, positions = parts(n_frames=4, size=16)
    for experiment, expected in ((Experiment(), False), (Experiment(blur=0.5), True)):
        path = tmp_path / "scan.npz"
        simulate_scan(obj, probe, positions, rng=rng(), experiment=experiment).save(path)
        with np.load(path) as entries:
            assert ("experiment" in entries) == expected
    workflow.run(config(output=tmp_path / "usual.npz"))
    with np.load(tmp_path / "usual.npz") as entries:
        assert "experiment" not in entries


def test_a_file_with_a_damaged_experiment_is_refused(tmp_path):
    path = tmp_path / "scan.npz"
    workflow.run(config(output=path))
    with np.load(path) as entries:
        np.savez(path, **{**entries, "experiment": np.array("near")})
    with pytest.raises(DataError, match=r"scan.npz: experiment 'near' .*; expected the entry as"):
        RawData.from_file(path)


def test_an_experiment_that_does_not_suit_the_frames_is_refused():
    obj, probe, positions = parts()
    with pytest.raises(ConfigError, match=r"fresnel_number: 0.01 in frames of 32 pixels; expected"):
        simulate_scan(
            obj, probe, positions, rng=None, experiment=replace(NEAR, fresnel_number=0.01)
        )


def test_window_off_the_object_is_told_with_its_frame():
    obj, probe, positions = parts()
    positions[3] = [10.0, 40.0]
    with pytest.raises(
        DataError, match=r"positions: 1 of 20 windows leave the object, frame 3 first \(rows -6 to"
    ):
        simulate_scan(obj, probe, positions, rng=rng())


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("frames", "positions", "obj", "probe")
    )


@pytest.mark.parametrize("path", ["raster", "fly", "fermat"])
def test_the_seed_decides_everything(path):
    settings = {"scan": path, "amplitude_image": "leaves", "phase_image": "clouds"}
    first = simulated(config(**settings))
    assert same(first, simulated(config(**settings)))
    assert not same(first, simulated(config(**settings, seed=1)))


def test_another_dose_or_position_error_leaves_object_and_path_alone():
    plain = simulated(config(phase_image="clouds"))
    other = simulated(config(phase_image="clouds", photons=1e2, noise=False))
    np.testing.assert_array_equal(plain.obj, other.obj)
    np.testing.assert_array_equal(plain.positions, other.positions)
    lost = simulated(config(phase_image="clouds", position_error=0.5))
    np.testing.assert_array_equal(plain.frames, lost.frames)
    error = lost.positions - plain.positions
    assert 0.3 < error.std() < 0.7  # 60 numbers of deviation 0.5


@pytest.mark.parametrize("path", ["raster", "fly", "fermat"])
def test_scan_file_holds_frames_truth_and_settings(tmp_path, path, caplog):
    with caplog.at_level(logging.INFO, logger="ptycho"):
        written = workflow.run(config(output=tmp_path / "new" / "scan.npz", scan=path, modes=2))
    raw = RawData.from_file(written)
    assert (raw.n_frames, raw.frame_size, raw.measurement) == (30, 32, "counts")
    assert raw.frames.dtype == np.uint16
    assert raw.probe.shape == (2, 32, 32)
    assert raw.obj is not None
    assert raw.metadata["nphotons"] == 1e4
    assert raw.metadata["simulation"]["seed"] == 0
    assert "30 frames of 32 x 32" in caplog.text
    assert "overlap" in caplog.text
    # The sample absorbs: its amplitude lies between 0.5 and 1, its transmission above a quarter.
    assert 0.25 * 1e4 < raw.photons_per_frame() < 1e4


def test_equal_settings_write_equal_files(tmp_path):
    paths = [workflow.run(config(output=tmp_path / f"{name}.npz")) for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_fly001_is_the_production_scan_of_the_plan():
    settings = from_mapping(SimulateConfig, {"preset": "fly001"})
    assert str(settings.output) == "datasets/fly/fly001_transposed.npz"
    assert (settings.n_frames, settings.N, settings.scan) == (10304, 64, "fly")
    assert 1 - settings.step / settings.probe_fwhm > 0.75
    assert from_mapping(SimulateConfig, {"preset": "fly001", "photons": 1e3}).photons == 1e3


def test_demo_takes_its_place_among_small_scans():
    settings = from_mapping(SimulateConfig, {"preset": "demo"})
    assert 1000 <= settings.n_frames <= 1600
    raw = simulated(settings)
    assert raw.n_frames == settings.n_frames
    assert raw.frames.dtype == np.uint16
