"""The uncertainty of a reconstruction as arrays and numbers.

Data flow: object -> samples of the posterior -> [uncertainty] -> report.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ptycho.engines.uncertainty import HalfData, Uncertainty


class SampledUncertainty(NamedTuple):
    """Uncertainty of an object from samples of the posterior and from two halves of the scan."""

    samples: int
    """Number of samples."""

    pixels: Uncertainty
    """Standard deviation of each pixel, on the canvas of the object."""

    halves: HalfData
    """Comparison of the objects from two halves of the positions."""

    misfit_ratio: float
    """See `engines.posterior_samples.Samples`."""

    @property
    def amplitude_std(self) -> Float[np.ndarray, "row col"]:
        """Standard deviation of the amplitude of each pixel; NaN where the object is unknown."""
        return self.pixels.amplitude_std

    @property
    def phase_std(self) -> Float[np.ndarray, "row col"]:
        """Standard deviation of the phase of each pixel, radians; NaN where it is unknown."""
        return self.pixels.phase_std

    def arrays(self) -> dict[str, Float[np.ndarray, "..."]]:
        """Return the arrays of reconstruction.npz."""
        rings = self.halves.rings
        return {
            "amplitude_std": self.amplitude_std,
            "phase_std": self.phase_std,
            "half_data_frequency": rings.frequency,
            "half_data_correlation": rings.correlation,
            "half_data_half_bit": rings.half_bit,
            "half_data_one_bit": rings.one_bit,
        }

    def document(self, pixel_size_m: float | None) -> dict[str, Any]:
        """Return the numbers of metrics.json.

        Args:
            pixel_size_m: object pixel, for resolutions in metres.
        """
        rings = self.halves.rings
        half: dict[str, Any] = {
            "amplitude_std": self.halves.amplitude_std, "phase_std_rad": self.halves.phase_std,
        }  # fmt: skip
        for name, threshold in rings.thresholds.items():
            crossing = self.halves.crossing(threshold)
            half[f"frc_{name}_cycles_per_px"] = crossing
            half[f"frc_{name}_share_of_nyquist"] = 2 * crossing
            if pixel_size_m is not None:
                period = pixel_size_m / crossing if crossing > 0 else np.nan
                half[f"frc_{name}_full_period_m"] = period
        half["frequency_cycles_per_px"] = rings.frequency.tolist()
        half["correlation"] = rings.correlation.tolist()
        half["half_bit"] = rings.half_bit.tolist()
        half["one_bit"] = rings.one_bit.tolist()
        return {
            "samples": self.samples,
            "misfit_ratio": self.misfit_ratio,
            "amplitude_std": _root_mean_square(self.amplitude_std),
            "phase_std_rad": _root_mean_square(self.phase_std),
            "half_data": half,
        }


def _root_mean_square(std: Float[np.ndarray, "row col"]) -> float:
    """Return the root mean square over the known pixels; NaN if there are none."""
    known = std[np.isfinite(std)].astype(np.float64)
    return float(np.sqrt(np.mean(known**2))) if known.size else float("nan")
