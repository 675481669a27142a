"""Bad detector pixels: whatever they hold, nothing changes; what they do not hold is kept."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, problem_of, simulated, start_of, swept, truth_on_canvas, untrained

from ptycho.api.loading import report_mask
from ptycho.commands import cli
from ptycho.engines.residuals import frame_residuals
from ptycho.errors import DataError
from ptycho.experiment import Experiment
from ptycho.scan.checks import suspicious_pixels
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.inspection import inspect_scan
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe
from ptycho.simulation.simulate import simulate_scan

GOOD = np.random.default_rng(5).random((SIDE, SIDE)) > 0.1

EXPERIMENTS = {
    "far": Experiment(),
    "near": Experiment(propagation="near", fresnel_number=0.2),
    "blurred": Experiment(blur=0.6),
}


def spoiled(raw, value):
    """The same scan with a value on every bad pixel, and the mask that says so."""
    frames = np.where(GOOD, raw.frames, np.float32(value))
    return replace(raw, frames=frames.astype(np.float32), mask=GOOD)


@pytest.mark.parametrize("value", [np.nan, np.inf, -7.0, 1e6])
def test_what_bad_pixels_hold_changes_nothing(value):
    raw = simulated(16)
    one, other = spoiled(raw, 0.0), spoiled(raw, value)
    np.testing.assert_array_equal(one.amplitude(np.arange(16)), other.amplitude(np.arange(16)))
    assert one.photons_per_frame() == other.photons_per_frame()
    assert (other.intensity(np.arange(3))[:, ~GOOD] == 0).all()


def test_a_mask_follows_its_scan(tmp_path):
    raw = spoiled(simulated(16), np.nan)
    raw.subset(slice(3, 9)).save(tmp_path / "scan.npz")
    read = RawData.from_file(tmp_path / "scan.npz")
    np.testing.assert_array_equal(read.mask, GOOD)
    np.testing.assert_array_equal(read.frames, raw.frames[3:9])
    assert simulated(4).mask is None
    assert replace(simulated(4), mask=np.ones((SIDE, SIDE))).mask is None  # nothing to exclude


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.ones((SIDE, 3)), "mask of shape"),
        (np.zeros((SIDE, SIDE)), "without a valid pixel"),
        (np.full((SIDE, SIDE), 2), "True or False, 1 or 0"),
    ],
)
def test_what_is_no_mask_is_refused(mask, said):
    with pytest.raises(DataError, match=said):
        replace(simulated(4), mask=mask)


def test_a_scan_with_a_bad_pixel_asks_for_a_mask_and_import_keeps_it(tmp_path, capsys):
    source, out = tmp_path / "source.npz", tmp_path / "scan.npz"
    good = spoiled(simulated(16), 0.0)
    good.save(source)
    entries = {name: value for name, value in np.load(source).items() if name != "mask"}
    entries["diffraction"] = np.where(GOOD, entries["diffraction"], np.nan)
    np.savez(source, **entries)
    assert cli.main(["import", str(source), str(out)]) == 2
    assert "--mask FILE" in capsys.readouterr().err
    for name, save in (("mask.npy", np.save), ("mask.npz", np.savez)):
        save(tmp_path / name, GOOD)
        words = ["--mask", str(tmp_path / name), "--overwrite"]
        assert cli.main(["import", str(source), str(out), *words]) == 0
        np.testing.assert_array_equal(RawData.from_file(out).mask, GOOD)
        np.testing.assert_allclose(RawData.from_file(out).intensity(np.arange(16)), good.intensity(
            np.arange(16)))  # fmt: skip
    other = np.roll(GOOD, 1)
    entries["diffraction"] = np.abs(good.frames)
    np.savez(source, **entries, mask=GOOD)
    np.testing.assert_array_equal(RawData.from_file(source, mask=other).mask, other)


def test_the_measured_part_of_a_batch_excludes_bad_pixels():
    raw = spoiled(simulated(16), 1e5)
    batch = GroupDataset(raw, np.arange(8).reshape(2, 4))[range(2)]
    np.testing.assert_array_equal(batch.measured.excluded, ~GOOD)
    assert batch.measured.amplitude is batch.amplitude
    assert not batch.amplitude[..., torch.from_numpy(~GOOD)].any()
    whole = GroupDataset(simulated(16), np.arange(8).reshape(2, 4))[range(2)]
    assert whole.measured.excluded is None


@pytest.mark.parametrize("network", ["lifted", "unet"])
def test_networks_and_sweeps_do_not_see_bad_pixels(network):
    raw = simulated(25)
    one, other = spoiled(raw, 0.0), spoiled(raw, 1e5)
    batches = [GroupDataset(scan, np.arange(8)[:, None])[range(8)] for scan in (one, other)]
    model = untrained(one, network=network)
    torch.testing.assert_close(*(model(batch).patches for batch in batches))
    _, canvas = truth_on_canvas(raw)
    obj = torch.ones(canvas.shape, dtype=torch.complex64)
    found = [swept(scan, obj, canvas) for scan in (one, other)]
    torch.testing.assert_close(found[0].obj, found[1].obj)
    assert found[0].free_residual == found[1].free_residual


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_the_truth_explains_a_masked_scan_and_bad_pixels_do_not_count(experiment):
    made = simulated(25)
    raw = simulate_scan(made.obj, made.probe, made.positions, rng=None, experiment=experiment)
    truth, canvas = truth_on_canvas(raw)
    masked, probe = spoiled(raw, 1e5), scaled_probe(raw).probe
    residuals = frame_residuals(problem_of(masked, canvas), start_of(masked, truth, probe))
    assert float(residuals.max()) < 1e-6
    found = swept(masked, truth, canvas, probe)
    assert max(found.free_residual) < 1e-6
    torch.testing.assert_close(found.obj, truth, rtol=0, atol=1e-3)


def test_a_mask_does_not_change_the_scale_of_an_empty_scan():
    empty = simulated(9, min_amplitude=1.0, phase_range=0.0)
    torch.testing.assert_close(
        scaled_probe(spoiled(empty, 0.0)).probe, scaled_probe(empty).probe, rtol=1e-4, atol=1e-4
    )


def test_dead_and_hot_pixels_are_named_and_sound_ones_are_not(caplog):
    raw = simulated(49, noise=True)
    assert not suspicious_pixels(raw.intensity(np.arange(49)), None).any()
    frames = raw.frames.copy()
    frames[:, 8, 7], frames[:, 2, 3], frames[:, 4, 4] = 0, 60000, 77
    odd = replace(raw, frames=frames)
    found = {finding.name: finding.sentence() for finding in inspect_scan(odd).findings}
    assert "2 suspicious pixels, dead or hot: (2, 3), (4, 4); exclude" in found["suspicious_pixels"]
    assert "rows 8-8, columns 7-7" in found["zero_regions"]
    known = replace(odd, mask=~suspicious_pixels(odd.intensity(np.arange(49)), None))
    with caplog.at_level(logging.INFO):
        report_mask(known)
    assert "253 of 256 pixels valid" in caplog.text
    assert not inspect_scan(known).findings
