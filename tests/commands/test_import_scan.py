"""`ptycho import`: what is scaled, what is kept, what is warned of."""

import logging

import numpy as np
import pytest
from small_scan import counts_entries, counts_scan

from ptycho.commands import import_scan
from ptycho.errors import DataError
from ptycho.scan.raw_data import RawData
from ptycho.scan.summary import summarise_scan
from ptycho.settings.import_scan import ImportConfig
from ptycho.simulation.probes import make_probe


@pytest.fixture
def counts_file(tmp_path):
    path = tmp_path / "counts.npz"
    np.savez_compressed(path, **counts_entries())
    return path


def saved(path, raw):
    raw.save(path)
    return path


def test_import_scales_the_probe_to_the_photons_and_keeps_the_rest(counts_file, tmp_path, caplog):
    config = ImportConfig(source=counts_file, output=tmp_path / "o" / "s.npz", pixel_size_m=1e-9)
    with caplog.at_level(logging.INFO, logger="ptycho"):
        back = RawData.from_file(import_scan.run(config))
    entry = counts_entries()
    np.testing.assert_array_equal(back.frames, entry["counts"])
    photons = entry["counts"].sum() / 12
    power = np.sum(np.abs(back.probe) ** 2, dtype=float)
    assert power == pytest.approx(photons, rel=1e-5)  # complex64
    assert back.pixel_size_m == 1e-9
    assert back.metadata["source_file"] == "counts.npz"
    for words in ("read as counts NPZ", "12 frames of 16 x 16 (uint16, counts)", "step 2.00 px",
                  "rows 20.0 to 26.0", "overlap", "scaled by"):  # fmt: skip
        assert words in caplog.text


@pytest.mark.parametrize(
    ("factor", "scaled"), [(0.9, True), (1.0, False), (4.0, False), (19.0, False), (21.0, True)]
)
def test_a_probe_that_a_sample_could_have_dimmed_is_believed(tmp_path, factor, scaled):
    raw = counts_scan()
    photons = summarise_scan(raw).photons
    probe = make_probe("gaussian", 16, fwhm=5.0, photons=factor * photons)
    source = saved(tmp_path / "in.npz", counts_scan(probe=probe))
    back = RawData.from_file(
        import_scan.run(ImportConfig(source=source, output=tmp_path / "out.npz"))
    )
    power = np.sum(np.abs(back.probe) ** 2, dtype=float)
    assert power == pytest.approx(photons if scaled else factor * photons, rel=1e-5)


def test_import_warns_of_frames_in_a_corner(tmp_path, caplog):
    raw = counts_scan(frames=np.pad(np.full((12, 4, 4), 50, np.uint16), ((0, 0), (0, 12), (0, 12))))
    source = saved(tmp_path / "in.npz", raw)
    import_scan.run(ImportConfig(source=source, output=tmp_path / "out.npz"))
    assert "zero frequency at pixel (0, 0); --frames fftshift" in caplog.text


def test_import_never_writes_over_its_source(counts_file):
    with pytest.raises(DataError, match="is the source itself"):
        import_scan.run(ImportConfig(source=counts_file, output=counts_file))
