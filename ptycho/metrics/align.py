"""The ambiguities of a reconstruction, found and removed: phase, ramp, scale, shift.

Data flow: patches -> object -> [metrics] -> report.
Diffraction frames determine an object only up to a global phase and, when the probe is unknown too,
up to a linear phase ramp, a scale and a shift. None of these counts as an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float
from scipy import ndimage, optimize
from skimage.registration import phase_cross_correlation

_SPLINE_ORDER = 5
"""Order of the sub-pixel shift: splines are local, so the mask separates inside from outside."""

_STRIP = 256  # rows
_RIM = 4
"""Pixels by which the mask is eroded: shifted splines mix their values with those outside."""

_SHIFT_RANGE = 2.0
"""Largest distance of the fitted shift from its first guess, pixels; below the rim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """An estimate aligned with the truth, and the transformation.

    obj(r) = scale exp(i (phase + ramp . (r - middle))) estimate(r - shift)
    """

    obj: Complex[np.ndarray, "row col"]
    """The aligned estimate."""

    mask: Bool[np.ndarray, "row col"]
    """Where it may be compared: the given mask without the rim that a shift affects."""

    phase: float
    """Global phase added, radians."""

    ramp: tuple[float, float]
    """Slope of the phase added along (row, col), radians per pixel."""

    scale: float
    """Factor by which the estimate was multiplied."""

    shift: tuple[float, float]
    """Shift of the estimate along (row, col), object pixels."""

    residual: float
    """sum |obj - truth|^2 / sum |truth|^2 inside the mask."""


def align(
    estimate: Complex[np.ndarray, "row col"],
    truth: Complex[np.ndarray, "row col"],
    mask: Bool[np.ndarray, "row col"],
    *,
    shift: bool = True,
) -> Aligned:
    """Remove global phase, phase ramp, scale and sub-pixel shift jointly, by least squares.

    The fit starts from the best of four guesses: with the ramp between neighbouring pixels or
    without one, and with no shift or that of the peak of the cross-correlation.

    Args:
        estimate: the reconstruction.
        truth: the reference, on the same pixels up to a small shift.
        mask: True where both are known.
        shift: whether to remove a shift.

    Returns:
        The estimate on the truth's pixels, phase and scale, and the transformation.

    Raises:
        ValueError: If the shapes differ, or no pixel inside the mask can be compared.
    """
    if not estimate.shape == truth.shape == mask.shape:
        raise ValueError(
            f"align: shapes {estimate.shape}, {truth.shape}, {mask.shape}; expected equal ones"
        )
    if not (mask & (truth != 0) & (estimate != 0)).any():
        raise ValueError(
            f"mask: {mask.sum()} pixels, none where both objects differ from 0; expected some"
        )
    # Fill masked pixels with the mean to avoid spline ringing.
    filled = np.where(mask, estimate, estimate[mask].mean()).astype(np.complex128)
    target = truth.astype(np.complex128)
    if not shift:
        return _Fit(filled, target, mask, shift=None).best()
    guesses = {(0.0, 0.0), _coarse_shift(filled, target, mask)}
    fits = [_Fit(filled, target, mask, shift=guess) for guess in sorted(guesses)]
    starts = [(fit, flat) for fit in fits for flat in (False, True)]
    fit, flat = min(starts, key=lambda start: start[0].first_residual(flat=start[1]))
    return fit.best(flat=flat)


def flatten_phase(
    obj: Complex[np.ndarray, "row col"], mask: Bool[np.ndarray, "row col"], *, ramp: bool = True
) -> tuple[Complex[np.ndarray, "row col"], tuple[float, float]]:
    """Remove the mean phase and, optionally, the linear phase ramp, for display.

    The ramp is the mean phase step between pixels, from short to long distances, so phase wraps do
    not affect it.

    Args:
        obj: the object.
        mask: where its phase is known.
        ramp: whether to remove the ramp as well.

    Returns:
        The flattened object, and the removed slope along (row, col) in radians per pixel.
    """
    slope = _slope(np.where(mask, obj, 0), reach=1 / 3) if ramp else (0.0, 0.0)
    rows, cols = (
        np.exp(-1j * step * (np.arange(n) - (n - 1) / 2)).astype(np.complex64)
        for step, n in zip(slope, obj.shape, strict=True)
    )
    flat = obj.astype(np.complex64)
    flat *= rows[:, None]
    flat *= cols
    mean = flat.sum(where=mask, dtype=np.complex128)
    flat *= np.complex64(np.exp(-1j * np.angle(mean)))
    return flat, slope


def well_covered(
    coverage: Float[np.ndarray, "row col"], share: float = 0.1
) -> Bool[np.ndarray, "row col"]:
    """Return where the coverage is above a share of its typical value.

    Typical is the upper quartile of the covered pixels, not the maximum: a stage that dwells at one
    place causes a peak there.
    """
    covered = coverage[coverage > 0]
    return coverage > share * (np.quantile(covered, 0.75) if covered.size else np.inf)


class _Fit:
    """The least-squares problem: six numbers p = (log scale, phase, ramp, shift), one residual.

    e(p) = exp(p0 + i p1 + i (p2, p3) . (r - middle)) estimate(r - (p4, p5));
    p minimises sum_mask |e(p) - truth|^2.
    """

    def __init__(
        self,
        estimate: Complex[np.ndarray, "row col"],
        truth: Complex[np.ndarray, "row col"],
        mask: Bool[np.ndarray, "row col"],
        shift: tuple[float, float] | None,
    ) -> None:
        self.is_rigid = shift is None
        self.first_shift = shift or (0.0, 0.0)
        self.estimate, self.truth = estimate, truth
        self.spline = None if self.is_rigid else _coefficients(estimate)
        if not self.is_rigid:
            moved = ndimage.shift(mask.astype(np.uint8), self.first_shift, order=0) > 0
            square = np.ones((2 * _RIM + 1,) * 2, dtype=bool)
            mask = ndimage.binary_erosion(mask & moved, square)
        if not mask.any():
            raise ValueError(f"mask: no pixel is {_RIM} pixels away from its edge; expected some")
        self.mask = mask
        middle = [(n - 1) / 2 for n in mask.shape]
        self.rows, self.cols = (c - m for c, m in zip(np.nonzero(mask), middle, strict=True))

    def first_residual(self, *, flat: bool) -> float:
        """Return sum |e - truth|^2 / sum |truth|^2 inside the mask before the fit.

        Args:
            flat: whether it starts without a ramp.
        """
        return self._relative(self._residual(self._first_guess(flat=flat)))

    def best(self, *, flat: bool = False) -> Aligned:
        """Return the alignment with the least residual.

        Args:
            flat: whether the fit starts without a ramp.
        """
        first = self._first_guess(flat=flat)
        span = np.array([np.inf] * 4 + [_SHIFT_RANGE] * 2)
        n_free = 4 if self.is_rigid else 6
        found = optimize.least_squares(
            self._residual,
            first[:n_free],
            jac=self._jacobian,
            bounds=((first - span)[:n_free], (first + span)[:n_free]),
            x_scale="jac",
        )
        p = np.concatenate([found.x, first[n_free:]])
        return Aligned(
            obj=self._model(p).astype(np.complex64),
            mask=self.mask,
            phase=float(np.angle(np.exp(1j * p[1]))),
            ramp=(float(p[2]), float(p[3])),
            scale=float(np.exp(p[0])),
            shift=(float(p[4]), float(p[5])),
            residual=self._relative(found.fun),
        )

    def _first_guess(self, *, flat: bool) -> np.ndarray:
        """Return the parameters for the first shift, from closed formulas."""
        moved = self._moved(self.first_shift)
        # Noise in a strong object can feign a ramp between neighbours.
        ramp = (0.0, 0.0) if flat else _slope(np.where(self.mask, self.truth * moved.conj(), 0))
        turned = moved * np.exp(1j * _plane(ramp, self.mask.shape))
        factor = np.vdot(turned[self.mask], self.truth[self.mask])
        factor = factor / np.vdot(moved[self.mask], moved[self.mask]) or 1.0
        return np.array([np.log(abs(factor)), np.angle(factor), *ramp, *self.first_shift])

    def _relative(self, residual: np.ndarray) -> float:
        power = np.square(np.abs(self.truth[self.mask])).sum()
        return float(np.square(residual).sum() / power)

    def _residual(self, p: np.ndarray) -> np.ndarray:
        return _as_reals(self._model(p)[self.mask] - self.truth[self.mask])

    def _moved(self, shift: Sequence[float] | np.ndarray) -> np.ndarray:
        if self.spline is None:
            return self.estimate
        moved: np.ndarray = ndimage.shift(
            self.spline, shift, order=_SPLINE_ORDER, mode="nearest", prefilter=False
        )
        return moved

    def _model(self, p: np.ndarray) -> np.ndarray:
        """Return e(p) on all pixels."""
        factor: np.ndarray = np.exp(p[0] + 1j * p[1] + 1j * _plane(p[2:4], self.mask.shape))
        return factor * self._moved(p[4:6])

    def _jacobian(self, p: np.ndarray) -> np.ndarray:
        """Return de/dp inside the mask, real and imaginary parts one after the other."""
        model = self._model(p)
        inside = model[self.mask]
        columns = [inside, 1j * inside, 1j * self.rows * inside, 1j * self.cols * inside]
        if not self.is_rigid:
            steps = np.gradient(model)
            columns += [
                1j * slope * inside - step[self.mask]
                for slope, step in zip(p[2:4], steps, strict=True)
            ]
        return np.stack([_as_reals(column) for column in columns], axis=1)


def _coefficients(estimate: np.ndarray) -> np.ndarray:
    """Return the spline coefficients of an object."""
    spline: np.ndarray = ndimage.spline_filter(estimate, _SPLINE_ORDER, output=np.complex128)
    return spline


def _as_reals(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values.real, values.imag])


def _coarse_shift(
    estimate: Complex[np.ndarray, "row col"],
    truth: Complex[np.ndarray, "row col"],
    mask: Bool[np.ndarray, "row col"],
) -> tuple[float, float]:
    """Return the peak of the cross-correlation of both objects without ramp and mean, in pixels."""
    ramp = _slope(np.where(mask, truth * estimate.conj(), 0))
    turned = estimate * np.exp(1j * _plane(ramp, mask.shape))
    pair = [np.where(mask, obj - obj[mask].mean(), 0) for obj in (truth, turned)]
    if not all(np.abs(obj).any() for obj in pair):
        return 0.0, 0.0
    row, col = phase_cross_correlation(*pair, normalization=None)[0]
    return float(row), float(col)


def _slope(values: np.ndarray, reach: float = 0.0) -> tuple[float, float]:
    """Return the mean phase step to the next row and to the next column, radians.

    Measured between neighbours first, then over 2, 4, ... pixels up to a share `reach` of the side:
    each distance refines the result of the shorter ones, so phase wraps do not matter, and neither
    noise nor structure of a few pixels is taken for a ramp.
    """
    return _step_along(values, reach, axis=0), _step_along(values, reach, axis=1)


def _step_along(values: np.ndarray, reach: float, *, axis: int) -> float:
    """Return the mean phase step along an axis, radians."""
    step, lag = 0.0, 1
    while lag == 1 or lag <= reach * values.shape[axis]:
        here, there = ((values[:-lag], values[lag:]), (values[:, :-lag], values[:, lag:]))[axis]
        product = 0j
        for first in range(0, len(here), _STRIP):  # a large object needs no second copy
            strip = slice(first, first + _STRIP)
            product += np.vdot(here[strip], there[strip])
        turned = product * np.exp(-1j * step * lag)
        step += float(np.angle(turned)) / lag
        lag *= 2
    return step


def _plane(slope: Sequence[float] | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return slope . (r - middle) on a grid."""
    rows, cols = (np.arange(n) - (n - 1) / 2 for n in shape)
    plane: np.ndarray = slope[0] * rows[:, None] + slope[1] * cols
    return plane
