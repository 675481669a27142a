"""An experiment in plain values: wavelengths, lengths, JSON, and what is refused."""

import dataclasses
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptycho.errors import DataError
from ptycho.experiment import (
    Experiment,
    Geometry,
    electron_wavelength,
    photon_wavelength,
)

LENGTHS = st.none() | st.floats(1e-12, 1e3)


@pytest.mark.parametrize(
    ("kilovolts", "picometres"), [(60, 4.8661), (80, 4.1757), (200, 2.5079), (300, 1.9687)]
)
def test_electron_wavelengths_are_those_of_the_textbook(kilovolts, picometres):
    """Kirkland (2010), table 2.2 and its formula: relativity shortens 2.2391 pm to 1.9687 pm."""
    assert 1e12 * electron_wavelength(1e3 * kilovolts) == pytest.approx(picometres, rel=5e-5)


def test_slow_electrons_are_not_relativistic():
    """At 1 V: 1.2264 nm / sqrt(V)."""
    assert 1e9 * electron_wavelength(1.0) == pytest.approx(1.226426, rel=2e-6)


def test_the_wavelength_of_copper_k_alpha():
    """12.39842 keV Angstrom / 8.047 keV = 1.54075 Angstrom."""
    assert 1e10 * photon_wavelength(8047.0) == pytest.approx(1.54075, rel=1e-5)


def test_lengths_of_an_object_pixel_by_hand():
    """1 nm * 2 m / (100 * 50 um) = 400 nm; (50 um)^2 / (1 nm * 2 m) = 1.25."""
    geometry = Geometry(wavelength_m=1e-9, distance_m=2.0, detector_pixel_m=50e-6)
    assert 1e9 * geometry.object_pixel_m(100) == pytest.approx(400.0)
    assert geometry.fresnel_number() == pytest.approx(1.25)


@pytest.mark.parametrize("missing", [f.name for f in dataclasses.fields(Geometry)])
def test_an_unknown_length_leaves_the_others_unknown(missing):
    whole = Geometry(wavelength_m=1e-9, distance_m=2.0, detector_pixel_m=50e-6)
    part = dataclasses.replace(whole, **{missing: None})
    assert part.object_pixel_m(100) is None
    assert part.fresnel_number() is None


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Geometry)])
@pytest.mark.parametrize("value", [0.0, -1e-9, math.inf, math.nan])
def test_a_length_that_cannot_be_is_refused(name, value):
    with pytest.raises(DataError, match=rf"^{name}: .*; expected a length above 0 metres$"):
        Geometry(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("fresnel_number", 0.0, "a number above 0"),
        ("fresnel_number", -2.0, "a number above 0"),
        ("fresnel_number", math.nan, "a number above 0"),
        ("fresnel_number", math.inf, "a number above 0"),
        ("blur", -0.1, "0 detector pixels or more"),
        ("blur", math.nan, "0 detector pixels or more"),
        ("blur", math.inf, "0 detector pixels or more"),
    ],
)
def test_a_number_out_of_its_range_is_refused(name, value, expected):
    with pytest.raises(DataError, match=f"^{name}: .*; expected {expected}$"):
        Experiment(**{name: value})


def test_the_usual_experiment_is_a_thin_sample_in_the_far_field():
    usual = Experiment()
    assert (usual.interaction, usual.propagation, usual.blur) == ("thin", "far", 0)
    assert usual.geometry == Geometry()


@given(
    experiment=st.builds(
        Experiment,
        interaction=st.text(max_size=9),
        propagation=st.sampled_from(["far", "near"]),
        fresnel_number=st.none() | st.floats(1e-6, 1e6),
        blur=st.floats(0, 10),
        geometry=st.builds(
            Geometry, wavelength_m=LENGTHS, distance_m=LENGTHS, detector_pixel_m=LENGTHS
        ),
    )
)
def test_json_returns_the_same_experiment(experiment):
    assert Experiment.from_json(experiment.to_json(), "scan.npz") == experiment


def test_json_of_fewer_entries_leaves_the_others_as_usual():
    found = Experiment.from_json('{"blur": 0.5}', "scan.npz")
    assert found == Experiment(blur=0.5)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "",
        "null",
        "[1, 2]",
        "3",
        '{"blurr": 1}',
        '{"blur": "wide"}',
        '{"blur": null}',
        '{"geometry": 3}',
        '{"geometry": null}',
        '{"geometry": {"wave": 1}}',
        '{"geometry": {"distance_m": "far"}}',
    ],
)
def test_what_describes_no_experiment_is_refused_with_its_file(text):
    with pytest.raises(DataError, match=r"(?s)^scan.npz: experiment .*; expected the entry"):
        Experiment.from_json(text, "scan.npz")


@pytest.mark.parametrize("text", ['{"blur": -1}', '{"geometry": {"distance_m": -1}}'])
def test_a_wrong_number_in_json_is_refused(text):
    with pytest.raises(DataError, match=r"-1; expected"):
        Experiment.from_json(text, "scan.npz")


def test_an_experiment_is_described_without_torch():
    code = "import sys; import ptycho.experiment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
