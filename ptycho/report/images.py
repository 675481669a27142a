"""What the figures of arrays show: values, range, title and unit of each image.

Data flow: ... -> object -> metrics -> [images] -> Matplotlib (`drawing`) or Bokeh (`pictures`).
Knows arrays only; both libraries draw the same values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Complex, Float, Int, Shaped

from ptycho.metrics import Comparison, flatten_phase, robust_range, well_covered

COLORS = {
    "grey": "gray",
    "viridis": "viridis",
    "magma": "magma",
    "cividis": "cividis",
    "red and blue": "RdBu_r",
    "cyclic": "twilight",
}
"""Colour maps: the name that a user reads, and that of Matplotlib."""

MOST_MODES = 4
"""Probe modes that are drawn."""

_BRIGHT = 0.05  # of the largest amplitude; below it the phase of a probe is not drawn


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image lies in the scan, and how large its pixels are."""

    origin: tuple[int, int] = (0, 0)
    """(row, col) of the first pixel in scan coordinates, object pixels."""

    pixel_size_m: float | None = None
    """Side of an object pixel; None when unknown."""


AT_ORIGIN = Placement()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image and what is needed to read it."""

    values: Shaped[np.ndarray, "row col"]
    """The values drawn."""

    known: Bool[np.ndarray, "row col"]
    """Pixels that are drawn; the others are left blank."""

    title: str
    """What the image shows."""

    unit: str
    """Unit of the values, the label of the colour bar."""

    colors: str
    """A key of `COLORS`."""

    limits: tuple[float, float] | None = None
    """Ends of the colour bar; None takes those of `robust_range`."""

    note: str = ""
    """What was done to the values."""

    placement: Placement = AT_ORIGIN
    """Where it lies."""

    whole: bool = False
    """Whether unknown margins are drawn, too."""

    @property
    def range(self) -> tuple[float, float]:
        """Ends of the colour bar."""
        return self.limits or robust_range(self.values, self.known)

    def cropped(self) -> "Image":
        """Return the part to draw: the smallest rectangle that holds all known pixels."""
        if self.whole or not self.known.any():
            return self
        spans = [np.flatnonzero(self.known.any(axis=axis)) for axis in (1, 0)]
        top, left = (int(span[0]) for span in spans)
        part = (slice(top, int(spans[0][-1]) + 1), slice(left, int(spans[1][-1]) + 1))
        row, col = self.placement.origin
        return replace(
            self, values=self.values[part], known=self.known[part], limits=self.range,
            placement=replace(self.placement, origin=(row + top, col + left)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """One value for each scan position."""

    positions: Float[np.ndarray, "position 2"]
    """Probe centres (row, col) in scan coordinates, object pixels."""

    values: Float[np.ndarray, " position"]
    """The values drawn, all finite."""

    frames: Int[np.ndarray, " position"]
    """Index of each frame in the scan."""

    title: str
    """What the dots show."""

    unit: str
    """Unit of the values."""

    @property
    def range(self) -> tuple[float, float]:
        """Ends of the colour bar."""
        return robust_range(self.values)


def amplitude_image(
    obj: Complex[np.ndarray, "row col"],
    known: Bool[np.ndarray, "row col"],
    placement: Placement = AT_ORIGIN,
) -> Image:
    """Return the amplitude of an object.

    Args:
        obj: complex transmission.
        known: where it is known.
        placement: where it lies.
    """
    return Image(
        values=np.abs(obj), known=known, title="Amplitude", unit="transmission", colors="grey",
        placement=placement,
    )  # fmt: skip


def phase_image(
    obj: Complex[np.ndarray, "row col"],
    known: Bool[np.ndarray, "row col"],
    placement: Placement = AT_ORIGIN,
) -> Image:
    """Return the phase of an object without its mean and its linear ramp.

    Args:
        obj: complex transmission.
        known: where it is known.
        placement: where it lies.
    """
    flat, slope = flatten_phase(obj, known)
    return Image(
        values=np.angle(flat), known=known, title="Phase", unit="rad", colors="viridis",
        note="mean and ramp of ({:.2g}, {:.2g}) rad/px removed".format(*slope),
        placement=placement,
    )  # fmt: skip


def coverage_image(
    coverage: Float[np.ndarray, "row col"], placement: Placement = AT_ORIGIN
) -> Image:
    """Return the illumination of each pixel relative to the largest.

    Args:
        coverage: sum of the weights on each pixel, any unit.
        placement: where it lies.
    """
    largest = max(float(coverage.max()), float(np.finfo(np.float32).tiny))
    return Image(
        values=coverage / largest, known=coverage > 0, title="Coverage",
        unit="share of the maximum", colors="magma", limits=(0.0, 1.0), placement=placement,
    )  # fmt: skip


def uncertainty_image(
    std: Float[np.ndarray, "row col"], part: str, placement: Placement = AT_ORIGIN
) -> Image:
    """Return a standard deviation in colours that begin at zero.

    Args:
        std: of each pixel; NaN where it is unknown.
        part: "amplitude" or "phase".
        placement: where it lies.
    """
    known = np.isfinite(std)
    largest = robust_range(std, known)[1] if known.any() else 1.0
    return Image(
        values=np.where(known, std, 0), known=known, title=f"Uncertainty of the {part}",
        unit="rad" if part == "phase" else "transmission", colors="magma",
        limits=(0.0, max(largest, 1e-9)), note="one standard deviation", placement=placement,
    )  # fmt: skip


def probe_images(probe: Complex[np.ndarray, "mode row col"]) -> list[Image]:
    """Return amplitude and phase of the first modes of a probe, one after the other.

    Args:
        probe: modes, sqrt(photons) per object pixel.
    """
    power = np.square(np.abs(probe)).sum(axis=(1, 2))
    shares = power / (power.sum() or 1.0)
    images = []
    for number, mode in enumerate(probe[:MOST_MODES]):
        amplitude = np.abs(mode)
        name = "Probe" if len(probe) == 1 else f"Probe mode {number + 1}"
        share = "" if len(probe) == 1 else f", {100 * shares[number]:.3g} % of the power"
        images += [
            Image(
                values=amplitude, known=np.ones(mode.shape, bool), title=f"{name}{share}",
                unit="√photons", colors="magma", limits=(0.0, float(amplitude.max()) or 1.0),
                whole=True,
            ),
            Image(
                values=np.angle(mode), known=amplitude > _BRIGHT * amplitude.max(),
                title=f"{name}, phase", unit="rad", colors="cyclic", limits=(-np.pi, np.pi),
                whole=True,
            ),
        ]  # fmt: skip
    return images


def residual_dots(
    positions: Float[np.ndarray, "position 2"],
    residuals: Float[np.ndarray, " position"],
    frames: Int[np.ndarray, " position"] | None = None,
) -> Dots:
    """Return the detector-space residual of each frame at its position, in percent.

    Args:
        positions: probe centres (row, col), object pixels.
        residuals: share of the power of each frame that is not explained; NaN for a dark frame,
            which is left out.
        frames: index of each frame in the scan; None counts from 0.
    """
    known = np.isfinite(residuals)
    numbers = np.arange(len(known)) if frames is None else np.asarray(frames)
    return Dots(
        positions=np.asarray(positions)[known], values=100 * np.asarray(residuals)[known],
        frames=numbers[known], title="Residual of each frame", unit="% of the power",
    )  # fmt: skip


def comparison_images(
    comparison: Comparison, pixel_size_m: float | None = None
) -> dict[str, tuple[Image, Image]]:
    """Return amplitude and phase of a reconstruction and of the ground truth, by name.

    Both share the range and the mean phase of the ground truth.

    Args:
        comparison: the aligned pair.
        pixel_size_m: side of an object pixel; None when unknown.
    """
    estimate, truth, known = comparison.aligned.obj, comparison.truth, comparison.aligned.mask
    turn = np.exp(-1j * np.angle(truth[known].sum()))
    placement = Placement(comparison.origin, pixel_size_m)
    images = {}
    for name, part in (("amplitude", amplitude_image), ("phase", _phase_as_it_is)):
        true = part(truth * turn, known, placement)
        found = replace(part(estimate * turn, known, placement), limits=true.range)
        images[name] = (
            replace(found, title=f"{found.title}, reconstruction"),
            replace(true, title=f"{true.title}, ground truth"),
        )
    return images


def difference_images(comparison: Comparison) -> dict[str, Image]:
    """Return how two aligned objects differ in amplitude and phase, in colours that part at zero.

    Args:
        comparison: the aligned pair.
    """
    obj, truth = comparison.aligned.obj, comparison.truth
    differences = {
        "amplitude": (np.abs(obj) - np.abs(truth), "transmission"),
        "phase": (np.angle(obj * truth.conj()), "rad"),
    }
    images = {}
    for name, (values, unit) in differences.items():
        known = comparison.aligned.mask
        largest = max(abs(end) for end in robust_range(values, known))
        images[name] = Image(
            values=values, known=known, title=f"Difference of the {name}", unit=unit,
            colors="red and blue", limits=(-largest, largest),
            placement=Placement(comparison.origin),
        )  # fmt: skip
    return images


def object_images(arrays: Mapping[str, np.ndarray]) -> dict[str, Image]:
    """Return amplitude, phase and, where they are known, their uncertainties, by name.

    Args:
        arrays: of `reconstruction.npz` or of the last image of a training.

    Returns:
        Nothing if the arrays hold no object.
    """
    if not has_object(arrays):
        return {}
    obj, known = np.asarray(arrays["object"]), well_covered(np.asarray(arrays["coverage"]))
    row, col = (round(float(first)) for first in arrays["origin"])
    pixel = float(arrays.get("pixel_size_m", np.nan))
    placement = Placement((row, col), pixel if np.isfinite(pixel) else None)
    images = {
        "amplitude": amplitude_image(obj, known, placement),
        "phase": phase_image(obj, known, placement),
    }
    for part in ("amplitude", "phase"):
        std = arrays.get(f"{part}_std")
        if std is not None and std.shape == obj.shape:
            masked = np.where(known, np.asarray(std), np.nan)
            images[f"{part}_std"] = uncertainty_image(masked, part, placement)
    return images


def has_object(arrays: Mapping[str, np.ndarray]) -> bool:
    """Return whether arrays of a run hold an object that can be drawn."""
    return {"object", "coverage", "origin"} <= set(arrays)


def corners_of(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the first and last (row, col) where an object is known; nothing without one."""
    if not has_object(arrays):
        return []
    known = np.argwhere(np.asarray(arrays["coverage"]) > 0) + arrays["origin"]
    return [known.min(axis=0), known.max(axis=0)] if len(known) else []


def _phase_as_it_is(
    obj: Complex[np.ndarray, "row col"], known: Bool[np.ndarray, "row col"], placement: Placement
) -> Image:
    return Image(
        values=np.angle(obj), known=known, title="Phase", unit="rad", colors="viridis",
        placement=placement,
    )  # fmt: skip
