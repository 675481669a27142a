"""An experiment in plain values: the parts of its forward model, and its geometry.

Data flow: file -> RawData with its [experiment] -> forward model.
A scan file can hold them; `physics.forward` builds the model from them. Knows no torch.
"""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any

from ptycho.errors import DataError

_PLANCK_J_S = 6.62607015e-34
_LIGHT_M_S = 299_792_458.0
_ELECTRON_KG = 9.1093837015e-31
_CHARGE_C = 1.602176634e-19


def electron_wavelength(voltage_v: float) -> float:
    """Return the relativistic wavelength of electrons, metres.

        wavelength = h / sqrt(2 m e V (1 + e V / (2 m c^2)))

    Args:
        voltage_v: accelerating voltage, volts; above 0.

    Source:
        Kirkland, Advanced Computing in Electron Microscopy, 2nd ed. (2010), eq. 2.5.
    """
    energy = _CHARGE_C * voltage_v
    relativistic = 1 + energy / (2 * _ELECTRON_KG * _LIGHT_M_S**2)
    return _PLANCK_J_S / math.sqrt(2 * _ELECTRON_KG * energy * relativistic)


def photon_wavelength(energy_ev: float) -> float:
    """Return the wavelength of photons, metres; `energy_ev` is their energy, above 0."""
    return _PLANCK_J_S * _LIGHT_M_S / (_CHARGE_C * energy_ev)


def photon_energy_ev(wavelength_m: float) -> float:
    """Return the energy of photons of some wavelength, eV."""
    return _PLANCK_J_S * _LIGHT_M_S / (_CHARGE_C * wavelength_m)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Lengths of an experiment; what is unknown is None.

    None of them is needed to reconstruct in pixels in the far field.

    Raises:
        DataError: If a length is not positive and finite.
    """

    wavelength_m: float | None = None
    """Wavelength of the illumination, metres."""

    distance_m: float | None = None
    """From sample to detector, metres; the effective distance behind a magnifying beam."""

    detector_pixel_m: float | None = None
    """Side of a detector pixel, metres."""

    def __post_init__(self) -> None:
        for length in dataclasses.fields(self):
            value = getattr(self, length.name)
            if value is not None and not 0 < value < math.inf:
                raise DataError(f"{length.name}: {value}; expected a length above 0 metres")

    def object_pixel_m(self, size: int) -> float | None:
        """Return the side of an object pixel in the far field, metres; None where unknown.

            pixel = wavelength * distance / (N * detector pixel)

        Args:
            size: N, pixels per side of a frame.
        """
        if self.wavelength_m is None or self.distance_m is None or self.detector_pixel_m is None:
            return None
        return self.wavelength_m * self.distance_m / (size * self.detector_pixel_m)

    def fresnel_number(self) -> float | None:
        """Return the Fresnel number of one pixel, pixel^2 / (wavelength * distance), or None."""
        if self.wavelength_m is None or self.distance_m is None or self.detector_pixel_m is None:
            return None
        return self.detector_pixel_m**2 / (self.wavelength_m * self.distance_m)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Which physics made the frames of a scan.

    Names are rows of `physics.INTERACTIONS` and `physics.PROPAGATORS`.

    Raises:
        DataError: If a number is out of its range.
    """

    interaction: str = "thin"
    """How probe and object make the exit wave."""

    propagation: str = "far"
    """From the exit wave to the detector: far (Fraunhofer) or near (Fresnel)."""

    fresnel_number: float | None = None
    """Of one object pixel, for the near field: pixel^2 / (wavelength * distance). None takes it
    from the geometry."""

    blur: float = 0.0
    """Standard deviation of the detector's point spread, detector pixels; 0 for none."""

    geometry: Geometry = field(default_factory=Geometry)
    """Lengths, where they are known."""

    def __post_init__(self) -> None:
        if self.fresnel_number is not None and not 0 < self.fresnel_number < math.inf:
            raise DataError(f"fresnel_number: {self.fresnel_number}; expected a number above 0")
        if not 0 <= self.blur < math.inf:
            raise DataError(f"blur: {self.blur}; expected 0 detector pixels or more")

    def to_json(self) -> str:
        """Return the experiment as JSON text."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str, where: str) -> "Experiment":
        """Read what `to_json` wrote.

        Args:
            text: JSON.
            where: what it came from, for errors.

        Raises:
            DataError: If it is no description of an experiment.
        """
        try:
            found: dict[str, Any] = json.loads(text)
            return cls(**{**found, "geometry": Geometry(**found.get("geometry", {}))})
        except (TypeError, ValueError, AttributeError, DataError) as problem:
            raise DataError(
                f"{where}: experiment {text[:60]!r} ({problem}); expected the entry as ptycho "
                "writes it"
            ) from None
