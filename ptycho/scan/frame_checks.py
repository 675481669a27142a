"""Faults of frames and detector pixels that the values themselves show.

Data flow: file -> RawData -> sample -> [findings].
Each check is a function of a `Sample`; thresholds are those at which good scans stay silent.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.spatial import cKDTree

from ptycho.scan.checks import suspicious_pixels
from ptycho.scan.findings import Finding, skip
from ptycho.scan.sample import Sample
from ptycho.spread import spread

_NEIGHBOURS = 8
_RIM = 3.0  # pixels around a gap that show what it should hold
_FRAMES_FOR_FLASHES = 64
_SMALL_REGION = 8  # pixels
_FEWEST_PHOTONS = 300.0  # below, no engine finds an object in a frame of usual size


def photons_of_frames(sample: Sample) -> Iterator[Finding]:
    """Frames far darker or brighter than those taken next to them, and too few photons at all."""
    photons, numbers = sample.photons, sample.counted
    if len(photons) <= _NEIGHBOURS:
        return
    near = _photons_nearby(sample)
    typical = np.median(photons)
    dark = (photons < 0.1 * near) | ((photons < 0.02 * typical) & (near < 0.1 * typical))
    if typical > 0 and dark.any() and not dark.all():
        yield Finding(
            name="blank_frames",
            severity="warning",
            text=f"{dark.sum()} frames hold less than a tenth of the photons of their neighbours",
            remedy=skip(numbers[dark]),
            frames=tuple(numbers[dark].tolist()),
        )
    bright = photons > 3 * near
    if bright.any():
        yield Finding(
            name="bright_frames",
            severity="warning",
            text=f"{bright.sum()} frames hold over three times the photons of their neighbours",
            remedy=skip(numbers[bright]),
            frames=tuple(numbers[bright].tolist()),
        )
    if 0 < typical < _FEWEST_PHOTONS and sample.raw.measurement == "counts":
        yield Finding(
            name="low_dose",
            severity="warning",
            text=f"{typical:.3g} photons per frame: too few for more than a hint of the object",
        )


def _photons_nearby(sample: Sample) -> Float[np.ndarray, " counted"]:
    """Return the upper quartile of the photons of the frames nearest to each, in time and place.

    A quartile, because half of the frames may be lost.
    """
    photons = sample.photons
    places = sample.raw.positions[sample.counted]
    k = min(_NEIGHBOURS + 1, len(photons))
    _, near = cKDTree(places).query(places, k=k)
    by_place = np.percentile(photons[near[:, 1:]], 75, axis=1)
    by_time = ndimage.percentile_filter(photons, 75, size=31, mode="nearest")
    # A run of lost frames is dark together with its neighbours in time and, in a raster, in place.
    return np.maximum(by_place, by_time)


def repeated_frames(sample: Sample) -> Iterator[Finding]:
    """Frames that are the frame before once more: a detector that did not read out."""
    frozen = sample.repeated
    if len(frozen):
        yield Finding(
            name="frozen_frames",
            severity="warning",
            text=f"{len(frozen)} frames equal the frame before, value for value",
            remedy=skip(frozen),
            frames=tuple(frozen.tolist()),
        )


def saturation(sample: Sample) -> Iterator[Finding]:
    """The largest value again and again: a counter that ran over, or a clipped file."""
    stored = sample.stored[:, sample.valid]
    top = stored.max(initial=0)
    if top < 50:
        return
    at_top = int((stored == top).sum())
    just_below = int(((stored > 0.98 * top) & (stored < top)).sum())
    frames = int((stored == top).any(axis=1).sum())
    several = int((stored == top).any(axis=0).sum()) > 1  # a single pixel is a hot one
    if several and at_top >= 10 and at_top > 3 * just_below and frames > 2:
        yield Finding(
            name="saturation",
            severity="warning",
            text=f"{at_top} pixels in {frames} of {len(stored)} frames read {top:g}, the largest "
            "value: saturated or clipped",
            remedy="mask them (--mask), or measure with less light",
        )


def silent_regions(sample: Sample) -> Iterator[Finding]:
    """Regions of any shape that read the same in all frames amid illuminated pixels."""
    zero = zero_regions(sample)
    if not zero.any():
        return
    labels, n = ndimage.label(zero)
    named = "; ".join(_region(box, sample.size) for box in ndimage.find_objects(labels)[:4])
    yield Finding(
        name="zero_regions",
        severity="warning",
        text=f"{zero.sum()} pixels in {n} regions read 0 in every frame amid illuminated pixels: "
        f"{named}{'; ...' if n > 4 else ''}",
        remedy="exclude them by a mask: `ptycho inspect FILE --write_mask mask.npy`, --mask "
        "mask.npy",
    )


def zero_regions(sample: Sample) -> Bool[np.ndarray, "row col"]:
    """Return valid pixels that read 0 in every frame although pixels around them hold light.

    What a pixel should hold is the geometric mean of the pixels around it that are not 0. In a dark
    part of the frame these hold a photon or two; around a gap, as many as any pixel.
    """
    total = np.where(sample.valid, sample.mean * len(sample.kept), 0)
    lit = total > 0
    if not lit.any():
        return np.zeros(total.shape, bool)
    quantum = _quantum(sample)
    blurred, weight = (
        ndimage.gaussian_filter(np.asarray(a, np.float64), _RIM)
        for a in (np.log1p(total / quantum), lit)
    )
    mean_log = np.divide(blurred, weight, out=np.zeros_like(total), where=weight > 1e-4)
    expected = quantum * np.expm1(mean_log)
    gaps = ~lit & sample.valid & (expected > 50 * quantum)
    enclosed = ndimage.binary_fill_holes(lit | gaps) & ~lit & sample.valid & (weight <= 1e-4)
    return _with_sharp_edges(gaps | enclosed, lit, (total, expected), 10 * quantum)


def _with_sharp_edges(
    regions: Bool[np.ndarray, "row col"],
    lit: Bool[np.ndarray, "row col"],
    held: tuple[Float[np.ndarray, "row col"], Float[np.ndarray, "row col"]],
    least: float,
) -> Bool[np.ndarray, "row col"]:
    """Return the regions next to which pixels hold what is expected there.

    Around a zero of the diffraction pattern itself the intensity falls off gradually.

    Args:
        regions: pixels that read 0.
        lit: pixels that do not.
        held: what each pixel holds in all frames, and what is expected there.
        least: what most pixels around a region have to hold.
    """
    total = held[0]
    labels, _ = ndimage.label(regions)
    found = np.zeros_like(regions)
    expected = np.maximum(held[1], np.finfo(float).tiny)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        grown = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        part = labels[grown] == number
        around = ndimage.binary_dilation(part, np.ones((3, 3))) & ~part
        share = 50 if part.sum() >= _SMALL_REGION else 25
        if np.percentile(total[grown][around], share) < least:
            continue  # the last lit pixels before the dark
        rim = ndimage.binary_dilation(part) & lit[grown]
        # The mean of the pixels around exceeds what a pixel holds where the intensity falls off
        # steeply: the ratio is 0.2 to 3 at gaps, 0.02 to 0.04 around zeros of a pattern.
        if rim.any() and np.percentile((total / expected)[grown][rim], 75) > 0.12:
            found[grown] |= part
    return found


def _quantum(sample: Sample) -> float:
    """Return the photons of one count: the smallest value of whole numbers, less of real ones."""
    positive = sample.intensity[sample.intensity > 0]
    if sample.stored.dtype.kind in "ui":
        return float(positive.min(initial=np.inf))
    return max(float(positive.min(initial=np.inf)), 1e-4 * float(sample.mean.max()))


def _region(box: tuple[slice, slice], size: int) -> str:
    rows, cols = box
    if rows.stop - rows.start == size:
        return f"columns {cols.start} to {cols.stop - 1}"
    if cols.stop - cols.start == size:
        return f"rows {rows.start} to {rows.stop - 1}"
    return f"rows {rows.start}-{rows.stop - 1}, columns {cols.start}-{cols.stop - 1}"


def lone_pixels(sample: Sample) -> Iterator[Finding]:
    """Dead and hot pixels: unlike all around them in every frame."""
    regions = zero_regions(sample)
    odd = suspicious_pixels(sample.intensity, sample.raw.mask) & ~regions
    at_top = sample.high == sample.high.max()
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    odd &= ~(at_top & ndimage.binary_dilation(at_top, around))  # saturated with its neighbours
    where = np.argwhere(odd)
    # Many at once are no broken pixels but values of another kind: a pedestal, a gain.
    if 0 < len(where) <= 0.02 * odd.size:
        named = ", ".join(f"({row}, {col})" for row, col in where[:8].tolist())
        yield Finding(
            name="suspicious_pixels",
            severity="warning",
            text=f"{len(where)} suspicious pixels, dead or hot: {named}"
            f"{', ...' if len(where) > 8 else ''}",
            remedy="exclude them by --mask if so",
        )


def flashing_pixels(sample: Sample) -> Iterator[Finding]:
    """Pixels far above all their neighbours in a few frames: cosmic rays, an unstable pixel."""
    chosen = spread(len(sample.kept), _FRAMES_FOR_FLASHES)
    flashes = _flashes(sample.intensity[chosen], sample.valid)
    if len(flashes):
        pixels = {(int(row), int(col)) for _, row, col in flashes}
        frames = {int(sample.kept[chosen[f]]) for f, _, _ in flashes}
        named = ", ".join(str(pixel) for pixel in sorted(pixels)[:4])
        yield Finding(
            name="flashing_pixels",
            severity="warning",
            text=f"{len(pixels)} pixels are hot in {len(frames)} of {len(chosen)} frames: "
            f"{named}{', ...' if len(pixels) > 4 else ''}",
            remedy="exclude them by --mask, or these frames by --skip_frames",
        )


def _flashes(
    intensity: Float[np.ndarray, "kept row col"], valid: Bool[np.ndarray, "row col"]
) -> Int[np.ndarray, "flash 3"]:
    """Return (frame, row, col) of values far above those of their 8 neighbours in the frame."""
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    scale = max(float(intensity.max(axis=(1, 2), initial=0).mean()), 1e-30)
    found = []
    for number, frame in enumerate(intensity):
        neighbours = ndimage.maximum_filter(frame, footprint=around, mode="nearest")
        away = frame - neighbours
        far = (
            (frame > 8 * neighbours + 0.02 * scale) & (away > 12 * np.sqrt(neighbours + 1)) & valid
        )
        for row, col in np.argwhere(far):
            found.append((number, row, col))
    return np.array(found, int).reshape(-1, 3)


def values(sample: Sample) -> Iterator[Finding]:
    """Values that are no photons: multiples of a gain, a common smallest value."""
    stored = sample.stored[:, sample.valid]
    if stored.dtype.kind not in "uif" or not stored.size or not np.isfinite(stored).all():
        return
    whole = stored.dtype.kind in "ui" or np.array_equal(stored, np.rint(stored))
    least = float(stored.min())
    if whole and least >= 2:
        share = float((stored.min(axis=0) <= least + 1).mean())
        if share > 0.15:
            yield Finding(
                name="pedestal",
                severity="warning",
                text=f"no pixel of any frame reads below {least:g}, and {share:.0%} of the pixels "
                "read that: a pedestal or a background",
                remedy=f"--pedestal {least:g}, or --refine_background",
            )
    if whole and sample.raw.measurement == "counts":
        unit = int(np.gcd.reduce(np.unique(stored[:64]).astype(np.int64) - int(least)))
        if unit > 1:
            yield Finding(
                name="gain",
                severity="warning",
                text=f"all values are multiples of {unit}: detector units, not photons",
                remedy=f"--gain {unit}",
            )


def centring(sample: Sample) -> Iterator[Finding]:
    """Zero frequency in the corner, or off the middle pixel."""
    mean = np.where(sample.valid, sample.mean, 0)
    if not mean.any():
        return
    size = sample.size
    middle, corner = _share_near(mean, size), _share_near(np.fft.fftshift(mean), size)
    if corner > 2 * middle and corner > 0.3:
        yield Finding(
            name="corner_centred_frames",
            severity="warning",
            text=f"{corner:.0%} of the photons lie around the corners of the frames, "
            f"{middle:.0%} around the middle: zero frequency at pixel (0, 0)",
            remedy="--frames fftshift",
        )
        return
    row, col = _centre_of_mass(mean)
    away = np.hypot(row - size // 2, col - size // 2)
    if away > max(1.5, 0.035 * size):
        yield Finding(
            name="off_centre_frames",
            severity="warning",
            text=f"the mean frame is centred at ({row:.1f}, {col:.1f}), {away:.1f} px from pixel "
            f"({size // 2}, {size // 2})",
            remedy=f"--center auto, with --crop {2 * ((size - 2 * int(away + 1)) // 2)}",
        )


def _share_near(mean: Float[np.ndarray, "row col"], size: int) -> float:
    """Return the share of the photons within a quarter of the frame around its middle."""
    quarter = size // 4
    near = slice(size // 2 - quarter, size // 2 + quarter)
    return float(mean[near, near].sum() / mean.sum())


def _centre_of_mass(mean: Float[np.ndarray, "row col"]) -> tuple[float, float]:
    bright = np.where(mean > 0.02 * mean.max(), mean, 0)
    axis = np.arange(len(bright))
    total = bright.sum()
    return float(bright.sum(axis=1) @ axis / total), float(bright.sum(axis=0) @ axis / total)


def unit(sample: Sample) -> Iterator[Finding]:
    """Frames that are not in photons."""
    mean = float(np.mean(sample.photons)) if len(sample.photons) else 0.0
    if sample.raw.measurement != "counts" and 0 < mean < 50:
        yield Finding(
            name="unknown_unit",
            severity="warning",
            text=f"the mean frame sums to {mean:.3g} in the unit of the file: no photons",
            remedy="--nphotons N states the photons of the mean frame",
        )


FRAME_CHECKS = (
    photons_of_frames, repeated_frames, saturation, silent_regions, lone_pixels, flashing_pixels,
    values, centring, unit,
)  # fmt: skip
"""All checks of frames and pixels, in the order of their findings."""
