"""How good a reconstruction is: ambiguities removed first, then numbers with stated peaks.

Data flow: patches -> object -> [metrics] -> report.
Knows arrays only: no files, no networks, no figures.
"""

from ptycho.metrics.align import Aligned, align, flatten_phase, well_covered
from ptycho.metrics.compare import Comparison, compare, detector_residual
from ptycho.metrics.display import robust_range
from ptycho.metrics.frc import RingCorrelation, fourier_ring_correlation, inner_rectangle
from ptycho.metrics.legacy import legacy_numbers
from ptycho.metrics.quality import (
    MS_SSIM_LEAST_SIDE,
    multiscale_similarity,
    peak_signal_to_noise,
    structural_similarity,
)

__all__ = [
    "MS_SSIM_LEAST_SIDE",
    "Aligned",
    "Comparison",
    "RingCorrelation",
    "align",
    "compare",
    "detector_residual",
    "flatten_phase",
    "fourier_ring_correlation",
    "inner_rectangle",
    "legacy_numbers",
    "multiscale_similarity",
    "peak_signal_to_noise",
    "robust_range",
    "structural_similarity",
    "well_covered",
]
