"""Faults of positions and probe, alone and against the frames.

Data flow: file -> RawData -> sample -> [findings].
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Complex64, Float
from scipy.spatial import cKDTree

from ptycho.scan.findings import Finding, numbered, skip
from ptycho.scan.sample import Sample

_ENOUGH_OVERLAP = 0.4
_LARGEST_SPREAD = 100  # area of the scan in units of the area of all its frames
_FEW_PHOTONS = 5e3  # per frame
_LEAST_SCATTER = 0.75  # variance / mean: 0.86 and more for counts, up to 0.59 for rounded roots
_LARGE_OBJECT = 4e6  # pixels; an object this large, most of it never seen, is a mistake


def probe_diameter(probe: Complex64[np.ndarray, "mode n n"], share: float = 0.8) -> float:
    """Return the diameter of a disc with the area of the brightest pixels that hold most light.

    Args:
        probe: modes, any unit.
        share: of the power that counts.

    Returns:
        Object pixels. Unlike the width at half maximum it includes the tails of a probe.
    """
    intensity = np.sort((np.abs(probe) ** 2).sum(axis=0).ravel())[::-1]
    held = np.cumsum(intensity, dtype=np.float64)
    area = int(np.searchsorted(held, share * held[-1])) + 1
    return 2.0 * float(np.sqrt(area / np.pi))


def one_spot(sample: Sample) -> Iterator[Finding]:
    """Positions that hardly differ: another unit, or a file whose positions were never filled."""
    positions = sample.raw.positions
    if len(positions) < 4:
        return
    extent = float(np.ptp(positions, axis=0).max())
    if extent >= max(1.0, 0.25 * probe_diameter(sample.raw.probe)):
        return
    if extent == 0:
        text, remedy = "all positions are equal", "take them from another file: --join FILE"
    else:
        text = f"all positions lie within {extent:.3g} object pixels"
        if sample.raw.pixel_size_m is None:
            remedy = "name their unit: --positions_unit m (or um, nm), with --object_pixel_nm"
        else:
            remedy = "name their unit: --positions_unit m, um or nm"
    yield Finding(name="one_spot", severity="error", text=text, remedy=remedy)


def far_off(sample: Sample) -> Iterator[Finding]:
    """Positions far from all others: an encoder that failed."""
    positions = sample.raw.positions
    if len(positions) < 8 or sample.step <= 0:
        return
    distances, _ = cKDTree(positions).query(positions, k=4)
    away = distances[:, 3]
    limit = max(20 * sample.step, 2.0 * sample.size)
    far = np.flatnonzero(away > limit)
    if len(far) and len(far) <= 0.02 * len(positions) + 1:
        others = np.delete(positions, far, axis=0)
        whole, usual = (
            float((np.ptp(p, axis=0) + sample.size).prod()) for p in (positions, others)
        )
        huge = whole > 10 * usual and whole > _LARGE_OBJECT
        yield Finding(
            name="far_off_positions",
            severity="error" if huge else "warning",
            text=f"frame {numbered(far)} lies {away[far].max():,.0f} px from the nearest others, "
            f"which are {sample.step:.3g} px apart",
            remedy=skip(far),
            frames=tuple(far.tolist()),
            reason="far off",
        )


def scattered(sample: Sample) -> Iterator[Finding]:
    """Positions spread over far more than their frames can cover."""
    raw = sample.raw
    height, width = np.ptp(raw.positions, axis=0) + raw.frame_size
    covered = raw.n_frames * raw.frame_size**2
    if height * width > _LARGEST_SPREAD * covered:
        away = np.abs(raw.positions - np.median(raw.positions, axis=0)).max(axis=1)
        yield Finding(
            name="scattered_positions",
            severity="error",
            text=f"positions spread over {height:.3g} x {width:.3g} pixels, frame {away.argmax()} "
            "farthest out; expected frames that cover more of it",
            remedy="check their unit (--positions_unit, --object_pixel_nm), or leave that frame "
            f"out by --skip_frames {away.argmax()}",
        )


def stuck_positions(sample: Sample) -> Iterator[Finding]:
    """Positions repeated from frame to frame while the others move."""
    positions = sample.raw.positions
    if len(positions) < 8 or sample.step <= 0:
        return
    moved = np.abs(np.diff(positions, axis=0)).max(axis=1)
    same = np.flatnonzero(moved < 1e-3 * sample.step) + 1
    n_spots = len(np.unique(np.round(positions, 6), axis=0))
    if not len(same) or len(positions) >= 1.8 * n_spots:
        return  # several exposures of every spot are a way to scan
    yield Finding(
        name="stuck_positions",
        severity="warning",
        text=f"{len(same)} frames have the position of the frame before",
        remedy=f"{skip(same)}, unless they are repeated exposures",
        frames=tuple(same.tolist()),
    )


def overlap(sample: Sample) -> Iterator[Finding]:
    """Neighbouring probes that hardly overlap, or positions finer than a pixel."""
    raw = sample.raw
    if not raw.probe_known or sample.step <= 0 or raw.n_frames < 4:
        return
    wide, narrow = probe_diameter(raw.probe), probe_diameter(raw.probe, 0.5)
    if sample.step > wide:
        yield Finding(
            name="no_overlap",
            severity="error",
            text=f"neighbouring positions are {sample.step:.3g} px apart, the probe is {wide:.3g} "
            "px wide (80 % of its power): the frames share no part of the object",
            remedy="check the unit of the positions (--positions_unit, --object_pixel_nm) and the "
            "probe",
        )
    elif sample.step > (1 - _ENOUGH_OVERLAP) * (narrow + wide) / 2:
        yield Finding(
            name="thin_overlap",
            severity="warning",
            text=f"neighbouring positions are {sample.step:.3g} px apart, the probe is {narrow:.3g}"
            f" to {wide:.3g} px wide (50 and 80 % of its power); expected an overlap of 60 % or "
            "more",
        )
    if 20 * sample.step < 1 and np.ptp(raw.positions, axis=0).max() >= 1:
        yield Finding(
            name="fine_step",
            severity="warning",
            text=f"neighbouring positions are {sample.step:.3g} px apart",
            remedy="check their unit: --positions_unit, --object_pixel_nm",
        )


def field_of_view(sample: Sample) -> Iterator[Finding]:
    """Steps longer than a frame's field: the geometry of a near-field scan, or another unit."""
    if sample.step > sample.size:
        yield Finding(
            name="near_field",
            severity="error",
            text=f"neighbouring positions are {sample.step:.3g} px apart, a frame sees "
            f"{sample.size} px: a near-field scan, or positions in another unit",
            remedy="set --object_pixel_nm or --positions_unit; a near-field scan needs `ptycho "
            "import` from a file that states its propagation",
        )


def probe_in_corner(sample: Sample) -> Iterator[Finding]:
    """A probe whose middle is at pixel (0, 0)."""
    probe = sample.raw.probe
    intensity = (np.abs(probe) ** 2).sum(axis=0)
    middle, corner = _near_middle(intensity), _near_middle(np.fft.fftshift(intensity))
    if corner > 2 * middle and corner > 0.6:
        yield Finding(
            name="corner_centred_probe",
            severity="warning",
            text=f"{corner:.0%} of the probe's power lies around the corners of its array, "
            f"{middle:.0%} around the middle",
            remedy="--probe fftshift",
        )


def _near_middle(intensity: Float[np.ndarray, "row col"]) -> float:
    size = len(intensity)
    near = slice(size // 4, size - size // 4)
    return float(intensity[near, near].sum() / intensity.sum())


def probe_and_frames(sample: Sample) -> Iterator[Finding]:
    """The mean frame against the probe's power spectrum: centre, and amplitude or intensity.

    Averaged over the sample, a frame is the power spectrum of the probe, widened by scattering. In
    its bright part both are proportional, so the slope of their logarithms is near 1; it is 1/2 if
    stored amplitudes are read as intensities, and 2 the other way round. It may be as flat where
    the sample scatters most of the beam; there, few counts are known by their scatter.
    """
    raw = sample.raw
    if not raw.probe_known or len(sample.kept) < 8:
        return
    spectrum = np.fft.fftshift(
        np.abs(np.fft.fft2(raw.probe, axes=(-2, -1))) ** 2, axes=(-2, -1)
    ).sum(axis=0)
    slope = _slope(spectrum, np.where(sample.valid, sample.mean, 0))
    if slope is None:
        return
    if slope < 0.54 and raw.measurement != "amplitude" and not _counted(sample):
        yield Finding(
            name="amplitudes_as_intensity",
            severity="warning",
            text=f"the mean frame follows the probe's spectrum to the power {slope:.2f}; expected "
            "1: the frames look like amplitudes",
            remedy="--measurement amplitude",
        )
    if slope > 1.6 and raw.measurement == "amplitude":
        yield Finding(
            name="intensity_as_amplitude",
            severity="warning",
            text=f"the mean frame follows the probe's spectrum to the power {slope:.2f}; expected "
            "1: the frames look like intensities",
            remedy="--measurement intensity",
        )


def _slope(
    spectrum: Float[np.ndarray, "row col"], mean: Float[np.ndarray, "row col"]
) -> float | None:
    """Return d log mean / d log spectrum over the bright part of both; None if it is too small."""
    order = np.sort(spectrum.ravel())[::-1]
    held = np.cumsum(order, dtype=np.float64)
    bright = spectrum >= order[int(np.searchsorted(held, 0.97 * held[-1]))]
    chosen = bright & (mean > 0)
    x, y = np.log(spectrum[chosen].astype(np.float64)), np.log(mean[chosen])
    if len(x) < 16 or np.ptp(x) < 1.5:
        return None
    # Total least squares: both sides scatter, and a regression on one would flatten the slope.
    cov = np.cov(x, y)
    if cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]) < 0.85:
        return None
    values, vectors = np.linalg.eigh(cov)
    along = vectors[:, np.argmax(values)]
    return float(along[1] / along[0])


def _counted(sample: Sample) -> bool:
    """Return whether frames of few photons vary from frame to frame as counts do.

    The variance of counts is at least their mean, on every pixel; that of rounded roots of few
    counts is about half their mean or less. With many photons the sample dominates both.
    """
    lit = sample.valid & (sample.mean > 0.5)
    if sample.raw.measurement != "counts" or lit.sum() < 16:
        return False
    if np.median(sample.photons) > _FEW_PHOTONS:
        return False
    values = sample.intensity[:, lit]
    return bool(np.percentile(values.var(axis=0) / values.mean(axis=0), 10) > _LEAST_SCATTER)


POSITION_CHECKS = (
    one_spot, far_off, scattered, stuck_positions, field_of_view, overlap, probe_in_corner,
    probe_and_frames,
)  # fmt: skip
"""All checks of positions and probe, in the order of their findings."""
