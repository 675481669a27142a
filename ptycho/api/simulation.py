"""Simulated scans whose true object is known.

Data flow: settings -> [object, probe, positions, noise -> RawData].
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex64, Float

from ptycho.experiment import Experiment
from ptycho.progress import tracked
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import from_mapping, part_of, to_dict
from ptycho.settings.simulate import SimulateSettings
from ptycho.simulation import SCAN_PATTERNS
from ptycho.simulation.objects import make_object
from ptycho.simulation.probes import make_probe
from ptycho.simulation.scans import place_scan
from ptycho.simulation.simulate import simulate_scan


def simulate(preset: str | None = None, **settings: Any) -> RawData:
    """Return a simulated scan; its `obj` is the true object.

    Args:
        preset: "demo" or "fly001", a set of values for the settings; None takes the defaults.
        **settings: any setting of `ptycho simulate` by name, such as n_frames, N, photons, seed;
            they take precedence over the preset.

    Raises:
        ConfigError: If a setting is unknown or has a wrong value.
    """
    given = settings if preset is None else {"preset": preset, **settings}
    return simulated(from_mapping(SimulateSettings, given, where="ptycho.simulate"))


@dataclass(frozen=True, slots=True)
class Scene:
    """What is scanned, with which probe, where; and the random numbers that remain."""

    obj: Complex64[np.ndarray, "height width"]
    probe: Complex64[np.ndarray, "mode row col"]
    positions: Float[np.ndarray, "position 2"]
    of_counts: np.random.Generator
    of_errors: np.random.Generator


def simulated(settings: SimulateSettings) -> RawData:
    """Return the scan that the settings describe, with its true object."""
    return scanned(settings, make_scene(settings))


def make_scene(settings: SimulateSettings) -> Scene:
    """Return object, probe and positions.

    Object, positions, counts and position errors take random numbers from separate streams of the
    seed: another dose or position error leaves the object and the positions as they are.
    """
    streams = np.random.SeedSequence(settings.seed).spawn(4)
    of_object, of_path, of_counts, of_errors = map(np.random.default_rng, streams)
    path = SCAN_PATTERNS.find(settings.scan)(
        settings.n_frames, step=settings.step, jitter=settings.jitter, row_step=settings.row_step,
        rng=of_path,
    )  # fmt: skip
    positions, shape = place_scan(path, settings.N)
    obj = make_object(
        shape,
        settings.amplitude_image,
        settings.phase_image,
        amplitude_range=(settings.min_amplitude, 1.0),
        phase_range=(-settings.phase_range / 2, settings.phase_range / 2),
        rng=of_object,
    )
    probe = make_probe(
        settings.probe,
        settings.N,
        fwhm=settings.probe_fwhm,
        photons=settings.photons,
        aperture=settings.aperture,
        n_modes=settings.modes,
    )
    return Scene(obj, probe, positions, of_counts, of_errors)


def scanned(settings: SimulateSettings, scene: Scene) -> RawData:
    """Return the scan of a scene: its frames, and positions with the error asked for."""
    raw = simulate_scan(
        scene.obj,
        scene.probe,
        scene.positions,
        rng=scene.of_counts if settings.noise else None,
        background=settings.background,
        experiment=Experiment(
            interaction=settings.interaction,
            propagation=settings.propagation,
            fresnel_number=settings.fresnel_number,
            blur=settings.blur,
        ),
        metadata=_metadata(settings),
        track=tracked("simulating", "batches", enabled=settings.progress),
    )
    if not settings.position_error:
        return raw
    return with_position_errors(raw, settings.position_error, scene.of_errors)


def with_position_errors(raw: RawData, error: float, rng: np.random.Generator) -> RawData:
    """Return the same scan with positions as a stage with this random error reports them.

    Args:
        raw: the scan with true positions.
        error: standard deviation in each direction, object pixels.
        rng: of the errors.
    """
    reported = raw.positions + error * rng.standard_normal(raw.positions.shape)
    return dataclasses.replace(
        raw, xcoords=reported[:, 1], ycoords=reported[:, 0], xcoords_start=None, ycoords_start=None
    )


def _metadata(settings: SimulateSettings) -> dict[str, Any]:
    """Return what made the scan; not where it was written, so that equal scans are equal files."""
    values = to_dict(part_of(settings, SimulateSettings))
    del values["progress"]
    return {"nphotons": settings.photons, "simulation": values}
