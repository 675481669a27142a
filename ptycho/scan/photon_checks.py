"""Faults of frames that the number of their photons shows.

Data flow: file -> RawData -> sample -> [findings].
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ptycho.scan.findings import Finding, skip
from ptycho.scan.sample import Sample

_NEIGHBOURS = 8
_FEWEST_PHOTONS = 300.0  # below, no engine finds an object in a frame of usual size
_FADED = 0.6  # of the photons around
_CLEARED = 0.4  # of the photons in the middle


def photons_of_frames(sample: Sample) -> Iterator[Finding]:
    """Frames far darker or brighter than those taken next to them, and too few photons at all."""
    photons, numbers = sample.photons, sample.counted
    if len(photons) <= _NEIGHBOURS:
        return
    near = _photons_nearby(sample)
    typical = np.median(photons)
    least, most = _usual_range(photons, near)
    dark = (photons < least * near) | ((photons < 0.02 * typical) & (near < 0.1 * typical))
    if typical > 0 and dark.any() and not dark.all():
        opaque = dark & _fading(sample, dark, near)
        blank = dark & ~opaque
        text = "frames hold less than a tenth of the photons of their neighbours"
        if blank.any():
            yield Finding(
                name="blank_frames",
                severity="warning",
                text=f"{blank.sum()} {text}",
                remedy=skip(numbers[blank]),
                frames=tuple(numbers[blank].tolist()),
                reason="blank",
            )
        if opaque.any():
            yield Finding(
                name="opaque_places",
                severity="note",
                text=f"{opaque.sum()} {text}, which fade towards them: the sample is opaque there",
            )
    bright = photons > most * near
    bright &= ~_clearing(sample, bright)
    if bright.any():
        yield Finding(
            name="bright_frames",
            severity="warning",
            text=f"{bright.sum()} frames hold over three times the photons of their neighbours",
            remedy=skip(numbers[bright]),
            frames=tuple(numbers[bright].tolist()),
            reason="too bright",
        )
    if 0 < typical < _FEWEST_PHOTONS and sample.raw.measurement == "counts":
        yield Finding(
            name="low_dose",
            severity="warning",
            text=f"{typical:.3g} photons per frame: too few for more than a hint of the object",
        )


def _usual_range(
    photons: Float[np.ndarray, " counted"], near: Float[np.ndarray, " counted"]
) -> tuple[float, float]:
    """Return which share of the photons around it a sound frame has at least, and at most.

    A tenth and three times as many; where frames differ so much that this is not unusual, as in
    front of an opaque screen with holes, what is far from all others.
    """
    share = photons / np.maximum(near, np.finfo(float).tiny)
    logs = np.log(share[(share > 0.1) & (share < 3)])
    if len(logs) <= _NEIGHBOURS:
        return 0.1, 3.0
    middle = np.median(logs)
    spread = 4 * 1.4826 * np.median(np.abs(logs - middle))
    return min(0.1, float(np.exp(middle - spread))), max(3.0, float(np.exp(middle + spread)))


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


def _fading(
    sample: Sample, dark: Bool[np.ndarray, " counted"], near: Float[np.ndarray, " counted"]
) -> Bool[np.ndarray, " counted"]:
    """Return the dark frames at places around which the frames are dim as well: an opaque sample.

    The beam of a frame next to an opaque place reaches into it. A lost beam is lost for frames that
    follow each other, while frames of other times at the same place are as bright as any.

    Args:
        sample: of the scan.
        dark: frames with hardly any photons.
        near: photons of the frames nearest to each.
    """
    fading = np.zeros(len(dark), bool)
    for inside, rim in _patches(sample, dark):
        fading[inside] = np.median(sample.photons[rim] / near[rim]) < _FADED
    return fading


def _clearing(sample: Sample, bright: Bool[np.ndarray, " counted"]) -> Bool[np.ndarray, " counted"]:
    """Return bright frames next to which two others are nearly as bright: a gap in a dark sample.

    Args:
        sample: of the scan.
        bright: frames with far more photons than those around them.
    """
    clearing = np.zeros(len(bright), bool)
    for inside, rim in _patches(sample, bright):
        next_to = np.sort(sample.photons[rim])[-2:].min()
        clearing[inside] = next_to > _CLEARED * np.median(sample.photons[inside])
    return clearing


def _patches(
    sample: Sample, chosen: Bool[np.ndarray, " counted"]
) -> Iterator[tuple[Int[np.ndarray, " inside"], Int[np.ndarray, " rim"]]]:
    """Yield frames that are chosen and lie next to each other, with the others next to them.

    Args:
        sample: of the scan.
        chosen: some of the counted frames.
    """
    if not chosen.any():
        return
    places = sample.raw.positions[sample.counted]
    k = min(_NEIGHBOURS + 1, len(places))
    _, around = cKDTree(places).query(places, k=k)
    one, other = np.repeat(np.arange(len(places)), k), around.ravel()
    pairs = chosen[one] & chosen[other]
    graph = coo_array(
        (np.ones(pairs.sum()), (one[pairs], other[pairs])), shape=(len(places), len(places))
    )
    _, label = connected_components(graph, directed=False)
    for number in np.unique(label[chosen]):
        inside = np.flatnonzero(chosen & (label == number))
        rim = np.setdiff1d(around[inside], np.flatnonzero(chosen))
        if len(rim):
            yield inside, rim
