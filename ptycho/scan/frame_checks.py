"""Faults of frames and detector pixels that the values themselves show.

Data flow: file -> RawData -> sample -> [findings].
Each check is a function of a `Sample`; thresholds are those at which good scans stay silent.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from ptycho.scan.checks import suspicious_pixels
from ptycho.scan.findings import Finding, region, skip
from ptycho.scan.photon_checks import photons_of_frames
from ptycho.scan.sample import Sample, count_of
from ptycho.scan.shift_checks import shifted_frames

_RIM = 3.0  # pixels around a gap that show what it should hold
_FEW = 0.02  # share of the pixels that can be broken
_MOST_FLASHES = 1e-3  # share of all values
_OFTEN = 0.1  # share of the frames in which an unstable pixel is hot
_SMALL_REGION = 12  # pixels


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
            reason="frozen",
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
    named = "; ".join(region(box, sample.size) for box in ndimage.find_objects(labels)[:4])
    yield Finding(
        name="zero_regions",
        severity="warning",
        text=f"{zero.sum()} pixels in {n} regions read 0 in every frame amid illuminated pixels: "
        f"{named}{'; ...' if n > 4 else ''}",
        remedy="exclude them by a mask: `ptycho inspect FILE --write_mask mask.npy`, --mask "
        "mask.npy",
        pixels=_listed(np.argwhere(zero)),
        reason="reading 0 amid light",
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
    quantum = count_of(sample.intensity, sample.stored)
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
        held_around = total[grown][around]
        # A pattern that is the same in all frames has small dark places of its own, with dim sides.
        small = part.sum() < _SMALL_REGION
        if np.median(held_around) < least or (small and held_around.min() < 5 * least):
            continue  # the last lit pixels before the dark
        rim = ndimage.binary_dilation(part) & lit[grown]
        # The mean of the pixels around exceeds what a pixel holds where the intensity falls off
        # steeply: the ratio is 0.2 to 3 at gaps, 0.02 to 0.04 around zeros of a pattern.
        if rim.any() and np.percentile((total / expected)[grown][rim], 75) > 0.12:
            found[grown] |= part
    return found


def _listed(where: Int[np.ndarray, "pixel 2"]) -> tuple[tuple[int, int], ...]:
    return tuple((row, col) for row, col in where.tolist())


def lone_pixels(sample: Sample) -> Iterator[Finding]:
    """Dead and hot pixels: unlike all around them in every frame."""
    regions = zero_regions(sample)
    odd = suspicious_pixels(sample.intensity, sample.raw.mask) & ~regions & ~_beam(sample)
    at_top = sample.high == sample.high.max()
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    odd &= ~(at_top & ndimage.binary_dilation(at_top, around))  # saturated with its neighbours
    where = np.argwhere(odd)
    # Many at once are no broken pixels but values of another kind: a pedestal, a gain.
    if 0 < len(where) <= _FEW * odd.size:
        named = ", ".join(f"({row}, {col})" for row, col in where[:8].tolist())
        yield Finding(
            name="suspicious_pixels",
            severity="warning",
            text=f"{len(where)} suspicious pixels, dead or hot: {named}"
            f"{', ...' if len(where) > 8 else ''}",
            remedy="exclude them by --mask if so",
            pixels=_listed(where),
            reason="dead or hot",
        )


def _beam(sample: Sample) -> Bool[np.ndarray, "row col"]:
    """Return pixels that look hot but may hold the direct beam of a hardly focused probe."""
    away = np.hypot(*(np.indices(sample.mean.shape) - sample.size // 2))
    most = sample.mean > 0.5 * sample.mean[sample.valid].sum()
    beam: np.ndarray = (sample.mean > 0) & ((away < 1.5) | ((away < sample.size / 8) & most))
    return beam


def flashing_pixels(sample: Sample) -> Iterator[Finding]:
    """Pixels far above all their neighbours in a few frames: cosmic rays, an unstable pixel."""
    found = sample.flashes
    if not len(found):
        return
    pixels, times = np.unique(found[:, 1:], axis=0, return_counts=True)
    n_frames, n_valid = len(sample.counted), int(sample.valid.sum())
    often = times > max(_OFTEN * n_frames, 2)
    named = ", ".join(f"({row}, {col})" for row, col in pixels[:4].tolist())
    # So many are no single events but what this detector, or this sample, looks like.
    few = len(found) <= _MOST_FLASHES * n_frames * n_valid and often.sum() <= _FEW * n_valid
    unstable = set(_listed(pixels[often]))
    single = [flash for flash in found.tolist() if tuple(flash[1:]) not in unstable]
    yield Finding(
        name="flashing_pixels",
        severity="warning",
        text=f"{len(pixels)} pixels are hot in {len(np.unique(found[:, 0]))} of {n_frames} frames: "
        f"{named}{', ...' if len(pixels) > 4 else ''}",
        remedy="exclude them by --mask, or these frames by --skip_frames",
        pixels=tuple(sorted(unstable)),
        flashes=tuple((frame, row, col) for frame, row, col in single),
        reason="hot in many frames" if few else "",
    )


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
    photons_of_frames, repeated_frames, shifted_frames, saturation, silent_regions, lone_pixels,
    flashing_pixels, values, centring, unit,
)  # fmt: skip
"""All checks of frames and pixels, in the order of their findings."""
