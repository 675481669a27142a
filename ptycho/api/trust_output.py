"""How far a reconstruction may be trusted, as arrays, numbers and one figure.

Way of the data: object -> scans drawn again -> [uncertainty -> report].
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ptycho.engines.resampling import HalfData, Uncertainty


class Trust(NamedTuple):
    """How far a reconstruction may be trusted."""

    samples: int
    """Scans drawn again."""

    uncertainty: Uncertainty
    """Of the object, on its canvas."""

    halves: HalfData
    """What two halves of the positions agree on."""

    misfit_ratio: float
    """Mean residual of the measured frames over that of the frames drawn again."""

    def arrays(self) -> dict[str, Float[np.ndarray, "..."]]:
        """Return what is kept beside the object."""
        rings = self.halves.rings
        return {
            "amplitude_std": self.uncertainty.amplitude_std,
            "phase_std": self.uncertainty.phase_std,
            "half_data_frequency": rings.frequency,
            "half_data_correlation": rings.correlation,
            "half_data_half_bit": rings.half_bit,
            "half_data_one_bit": rings.one_bit,
        }

    def document(self, pixel_size_m: float | None) -> dict[str, Any]:
        """Return the numbers.

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
            "amplitude_std": _typical(self.uncertainty.amplitude_std),
            "phase_std_rad": _typical(self.uncertainty.phase_std),
            "half_data": half,
        }


def _typical(std: Float[np.ndarray, "row col"]) -> float:
    """Return the root mean square over the known pixels; NaN when there is none."""
    known = std[np.isfinite(std)].astype(np.float64)
    return float(np.sqrt(np.mean(known**2))) if known.size else float("nan")
