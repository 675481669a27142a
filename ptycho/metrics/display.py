"""The range of values that an image is displayed in.

Data flow: object -> [range] -> figures, pages, TensorBoard.
"""

import numpy as np
from jaxtyping import Bool, Shaped

_PERCENTILES = (1, 99)


def robust_range(
    values: Shaped[np.ndarray, "*shape"], known: Bool[np.ndarray, "*shape"] | None = None
) -> tuple[float, float]:
    """Return the 1st and 99th percentile, so that outliers do not determine the colours.

    Args:
        values: any unit.
        known: the pixels that count; None counts all. Values that are not finite never count.

    Returns:
        Two different numbers: (0, 1) if nothing is known, 1 apart if the values are constant.
    """
    counted = np.isfinite(values) if known is None else known & np.isfinite(values)
    if not counted.any():
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(values[counted], _PERCENTILES))
    # Rounding errors of a constant image are not a range.
    if high - low > 1e-6 * max(1.0, abs(low)):
        return low, high
    return low - 0.5, high + 0.5
