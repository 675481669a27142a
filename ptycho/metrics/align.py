"""The freedoms of a reconstruction, found and removed: phase, ramp, scale, shift.

Way of the data: patches -> object -> [metrics] -> report.
Diffraction frames fix an object only up to a global phase and, when the probe is free too, up to a
linear phase ramp, a scale and a shift. None of these may count as an error.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float
from scipy import ndimage, optimize
from skimage.registration import phase_cross_correlation

_SPLINE_ORDER = 5
"""Of the sub-pixel shift: splines act locally, so what lies outside the mask stays there."""

_RIM = 4
"""Pixels the mask is drawn in by: values there mix with the outside when splines are shifted."""

_SHIFT_RANGE = 2.0
"""How far the fit may move from a first guess of the shift, in pixels; below the rim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """An estimate brought onto the truth, and what was done to it.

    obj(r) = scale exp(i (phase + ramp . (r - middle))) estimate(r - shift)
    """

    obj: Complex[np.ndarray, "row col"]
    """The aligned estimate."""

    mask: Bool[np.ndarray, "row col"]
    """Where it may be compared: the mask handed in, without the rim a shift spoils."""

    phase: float
    """Global phase added, radians."""

    ramp: tuple[float, float]
    """Slope of the phase added along (row, col), radians per pixel."""

    scale: float
    """Factor the estimate was multiplied with."""

    shift: tuple[float, float]
    """Distance the estimate was moved along (row, col), object pixels."""

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

    The fit starts from the ramp between neighbouring pixels and from two shifts, none and the peak
    of the cross-correlation; the better of the two.

    Args:
        estimate: the reconstruction.
        truth: what it is compared with, on the same pixels up to a small shift.
        mask: True where both are known.
        shift: whether a shift may be removed.

    Returns:
        The estimate on the truth's pixels, phase and scale, and what was removed.

    Raises:
        ValueError: If the shapes differ, or nothing inside the mask can be compared.
    """
    if not estimate.shape == truth.shape == mask.shape:
        raise ValueError(
            f"align: shapes {estimate.shape}, {truth.shape}, {mask.shape}; expected equal ones"
        )
    if not (mask & (truth != 0) & (estimate != 0)).any():
        raise ValueError(
            f"mask: {mask.sum()} pixels, none where both objects differ from 0; expected some"
        )
    # Beyond the mask anything may stand; one plain value there keeps the splines quiet.
    filled = np.where(mask, estimate, estimate[mask].mean()).astype(np.complex128)
    target = truth.astype(np.complex128)
    if not shift:
        return _Fit(filled, target, mask, shift=None).best()
    guesses = {(0.0, 0.0), _coarse_shift(filled, target, mask)}
    fits = [_Fit(filled, target, mask, shift=guess) for guess in sorted(guesses)]
    return min(fits, key=lambda fit: fit.first_residual()).best()


def flatten_phase(
    obj: Complex[np.ndarray, "row col"], mask: Bool[np.ndarray, "row col"], *, ramp: bool = True
) -> tuple[Complex[np.ndarray, "row col"], tuple[float, float]]:
    """Remove the mean phase and, if wished, the linear ramp of the phase, for display.

    The ramp is the mean phase step between pixels, from near to far, so wraps do no harm.

    Args:
        obj: the object.
        mask: where its phase is known.
        ramp: whether to remove the ramp as well.

    Returns:
        The flattened object, and the slope removed along (row, col) in radians per pixel.
    """
    slope = _slope(np.where(mask, obj, 0), reach=1 / 3) if ramp else (0.0, 0.0)
    flat = obj * np.exp(-1j * _plane(slope, obj.shape))
    mean = flat[mask].sum()
    return (flat * np.exp(-1j * np.angle(mean))).astype(np.complex64), slope


def well_covered(
    coverage: Float[np.ndarray, "row col"], share: float = 0.1
) -> Bool[np.ndarray, "row col"]:
    """Return where the coverage is above a share of what is usual.

    Usual is the upper quartile of the covered pixels: a stage that rested for a while at one place
    leaves a peak there, which must not hide the rest.
    """
    covered = coverage[coverage > 0]
    return coverage > share * (np.quantile(covered, 0.75) if covered.size else np.inf)


class _Fit:
    """The least-squares problem: six numbers p = (log scale, phase, ramp, shift), one residual.

    e(p) = exp(p0 + i p1 + i (p2, p3) . (r - middle)) estimate(r - (p4, p5));
    p minimises sum_mask |e(p) - truth|^2.
    """

    def __init__(self, estimate, truth, mask, shift: tuple[float, float] | None):
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

    def first_residual(self) -> float:
        """Return sum |e - truth|^2 / sum |truth|^2 inside the mask before any fit."""
        return self._relative(self._residual(self._first_guess()))

    def best(self) -> Aligned:
        """Return the alignment with the least residual."""
        first = self._first_guess()
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

    def _first_guess(self) -> np.ndarray:
        """Return the parameters for the first shift, from closed formulas."""
        moved = self._moved(self.first_shift)
        ramp = _slope(np.where(self.mask, self.truth * moved.conj(), 0))
        turned = moved * np.exp(1j * _plane(ramp, self.mask.shape))
        factor = np.vdot(turned[self.mask], self.truth[self.mask])
        factor = factor / np.vdot(moved[self.mask], moved[self.mask]) or 1.0
        return np.array([np.log(abs(factor)), np.angle(factor), *ramp, *self.first_shift])

    def _relative(self, residual: np.ndarray) -> float:
        power = np.square(np.abs(self.truth[self.mask])).sum()
        return float(np.square(residual).sum() / power)

    def _residual(self, p: np.ndarray) -> np.ndarray:
        return _as_reals(self._model(p)[self.mask] - self.truth[self.mask])

    def _moved(self, shift) -> np.ndarray:
        if self.is_rigid:
            return self.estimate
        return ndimage.shift(
            self.spline, shift, order=_SPLINE_ORDER, mode="nearest", prefilter=False
        )

    def _model(self, p: np.ndarray) -> np.ndarray:
        """Return e(p) on all pixels."""
        factor = np.exp(p[0] + 1j * p[1] + 1j * _plane(p[2:4], self.mask.shape))
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
    return ndimage.spline_filter(estimate, _SPLINE_ORDER, output=np.complex128)


def _as_reals(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values.real, values.imag])


def _coarse_shift(estimate, truth, mask) -> tuple[float, float]:
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
    each distance sharpens what the shorter ones have found, so wraps do no harm and neither noise
    nor structure that ends within some pixels passes for a ramp.
    """
    return _step_along(values, reach), _step_along(values.T, reach)


def _step_along(values: np.ndarray, reach: float) -> float:
    """Return the mean phase step from row to row, radians."""
    step, lag = 0.0, 1
    while lag == 1 or lag <= reach * len(values):
        turned = np.vdot(values[:-lag], values[lag:]) * np.exp(-1j * step * lag)
        step += float(np.angle(turned)) / lag
        lag *= 2
    return step


def _plane(slope, shape: tuple[int, int]) -> np.ndarray:
    """Return slope . (r - middle) on a grid."""
    rows, cols = (np.arange(n) - (n - 1) / 2 for n in shape)
    return slope[0] * rows[:, None] + slope[1] * cols
