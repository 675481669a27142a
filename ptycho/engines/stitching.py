"""Patches merged into one object, with their global phases synchronised.

Data flow: trained model -> patches -> [object] -> metrics, report.
Knows patches, windows and weights as tensors: no networks, no scans, no files.

A frame does not determine the global phase of its patch, so every predicted patch (or group of
patches) has its own, and a plain average would blur them. The phases follow from the overlap: with
the merged object S = sum_i w_i z_i p_i / sum_i w_i, |z_i| = 1, the best phasor of a patch is
z_i = sign <p_i, S>_w, and the best S follows from the phasors. `stitch` starts by growing S
outwards from its middle (a random start would leave phase vortices in S), then alternates, first on
a coarse lattice of pixels, which is fast and fixes the long range, finally on all.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree
from torch import Tensor

from ptycho.physics.patches import Canvas, cut_patches, place_patches, window_corners
from ptycho.physics.probe import probe_intensity

_ROUNDING = 1e-12  # of sums by transforms
_STRIP = 1024  # rows of a canvas that are transformed at a time

_CHUNK_PIXELS = 2**21
"""Window pixels processed at a time: limits temporary memory to about 100 MB."""

_LATTICE_PIXELS = 16
"""Side of a patch, in pixels, on the coarse lattice."""

_TOLERANCE = 1e-4
"""Rounds end when the phasors change by less than this (root mean square, radians)."""


class Stitched(NamedTuple):
    """An object merged from patches."""

    obj: Complex[Tensor, "row col"]
    """Weighted mean of the phase-corrected patches; 0 where the weight is 0."""

    coverage: Float[Tensor, "row col"]
    """Sum of the weights on each pixel."""

    phases: Float[Tensor, " patch"]
    """Phase each patch was multiplied with, radians in (-pi, pi]."""


def stitch(
    patches: Complex[Tensor, "patch size size"],
    corners: Int[Tensor, "corner 2"],
    weights: Float[Tensor, "*each size size"],
    shape: tuple[int, int],
    *,
    rounds: int = 40,
    group_of: Int[Tensor, " label"] | None = None,
) -> Stitched:
    """Merge patches into one object after synchronising their global phases.

    Minimises sum_i w_i |z_i p_i - S|^2 over the object S and the phasors z_i by accelerated
    alternation. Patches that are connected by no overlap keep their mean phase.

    Args:
        patches: complex transmission in each window.
        corners: first (row, col) of each window on the canvas, object pixels.
        weights: of each window pixel, 0 or more; usually |probe|^2; one array for all or one each.
        shape: (row, col) size of the canvas in object pixels.
        rounds: maximum number of rounds on the coarse lattice; 0 keeps the phases.
        group_of: label of each patch; patches of one label share a phase. None: one phase each.

    Returns:
        The object, its coverage and the phases.

    Raises:
        ValueError: If the numbers of patches, corners and labels differ, or none is given.

    Source:
        The alternation is the generalised power method for angular synchronisation: Singer, Appl.
        Comput. Harmon. Anal. 30, 20 (2011); Boumal, SIAM J. Optim. 26, 2355 (2016).
    """
    n = len(patches)
    if n == 0 or len(corners) != n or (group_of is not None and len(group_of) != n):
        found = f"{n} patches, {len(corners)} corners"
        found += "" if group_of is None else f", {len(group_of)} labels"
        raise ValueError(f"stitch: {found}; expected one of each per patch, 1 or more")
    labels = torch.arange(n, device=patches.device) if group_of is None else group_of
    group_of = torch.unique(labels, return_inverse=True)[1]
    weights = weights.to(patches.real.dtype).expand(patches.shape)
    layer = _Layer(patches, corners, weights, shape, group_of, int(group_of.max()) + 1)
    phasors = patches.new_ones(layer.n_groups)
    if rounds > 0:
        phasors = _synchronise(layer, rounds)
    coverage = layer.total_weight()
    obj = _divide(layer.place(phasors), coverage)
    return Stitched(obj, coverage, phasors.angle()[group_of])


def illumination_on(
    canvas: Canvas, positions: Float[Tensor, "position 2"], probe: Complex[Tensor, "mode row col"]
) -> Float[Tensor, "height width"]:
    """Return the illumination of an object, relative to the maximum of one probe.

    Args:
        canvas: holds the window of every position.
        positions: probe centres as (row, col), object pixels.
        probe: modes, any unit.
    """
    single = probe_intensity(probe)
    single = single / single.max()
    corners, _ = window_corners(positions, probe.shape[-1])
    row, col = (corners - torch.tensor(canvas.origin)).T
    # All windows show the same, so it is a convolution, whatever their number.
    size = probe.shape[-1]
    counts = torch.zeros(canvas.shape, dtype=torch.float64)
    counts.index_put_((row, col), counts.new_ones(len(row)), accumulate=True)
    total = torch.zeros_like(counts)
    for first in range(0, len(counts), _STRIP):
        strip = counts[first : first + _STRIP]
        shape = (min(len(strip) + size - 1, len(counts) - first), canvas.shape[1])
        parts = (torch.fft.rfft2(each, s=shape) for each in (strip, single.double()))
        total[first : first + shape[0]] += torch.fft.irfft2(math.prod(parts), s=shape)
    return torch.where(total > _ROUNDING * total.max(), total, 0).float()


@dataclass(frozen=True, slots=True)
class _Layer:
    """Patches, their places and weights: what merging and comparing needs."""

    patches: Complex[Tensor, "patch size size"]
    corners: Int[Tensor, "patch 2"]
    weights: Float[Tensor, "patch size size"]
    shape: tuple[int, int]
    group_of: Int[Tensor, " patch"]
    n_groups: int

    def thinned(self, step: int) -> "_Layer":
        """Keep the pixels on every step-th row and column of the canvas, the same for all patches.

        True patches stay consistent on them, unlike on binned pixels, so nothing is approximated.
        """
        if step == 1:
            return self
        side = self.patches.shape[-1] // step
        first = -self.corners % step  # window pixel that falls on the lattice
        kept = slice(None), slice(0, side * step), slice(0, side * step)
        blocks = (len(self.patches), side, step, side, step)
        each = torch.arange(len(self.patches), device=self.corners.device)

        def thin(stack: Tensor) -> Tensor:
            return stack[kept].reshape(blocks)[each, :, first[:, 0], :, first[:, 1]].contiguous()

        shape = (-(-self.shape[0] // step) + 1, -(-self.shape[1] // step) + 1)
        corners = (self.corners + first) // step
        return replace(
            self,
            patches=thin(self.patches),
            corners=corners,
            weights=thin(self.weights),
            shape=shape,
        )

    def subset(self, members: Int[Tensor, " member"]) -> "_Layer":
        """Keep some of the patches; labels and canvas stay."""
        return replace(
            self,
            patches=self.patches[members],
            corners=self.corners[members],
            weights=self.weights[members],
            group_of=self.group_of[members],
        )

    def total_weight(self) -> Float[Tensor, "row col"]:
        """Return sum_i w_i on the canvas."""
        total = self.weights.new_zeros(self.shape)
        for part in self._parts():
            total += place_patches(self.weights[part], self.corners[part], self.shape)
        return total

    def place(self, phasors: Complex[Tensor, " group"]) -> Complex[Tensor, "row col"]:
        """Return sum_i w_i z_i p_i on the canvas."""
        total = self.patches.new_zeros(self.shape)
        for part in self._parts():
            factor = self.weights[part] * phasors[self.group_of[part], None, None]
            total += place_patches(self.patches[part] * factor, self.corners[part], self.shape)
        return total

    def compare(self, obj: Complex[Tensor, "row col"]) -> Complex[Tensor, " group"]:
        """Return sum_i <p_i, obj>_w over the members of each group."""
        products = []
        for part in self._parts():
            windows = cut_patches(obj, self.corners[part], self.patches.shape[-1])
            windows = windows * self.weights[part]
            products.append(torch.linalg.vecdot(self.patches[part].flatten(1), windows.flatten(1)))
        sums = self.patches.new_zeros(self.n_groups)
        return sums.index_add(0, self.group_of, torch.cat(products))

    def _parts(self) -> Iterator[slice]:
        """Yield the patches in pieces that bound the temporary memory."""
        length = max(1, _CHUNK_PIXELS // self.patches.shape[-1] ** 2)
        for start in range(0, len(self.patches), length):
            yield slice(start, start + length)


def _synchronise(layer: _Layer, rounds: int) -> Complex[Tensor, " group"]:
    """Return the phasors that bring the patches into agreement, from coarse lattices to fine."""
    coarsest = step = max(1, layer.patches.shape[-1] // _LATTICE_PIXELS)
    coarse = layer.thinned(step)
    phasors, islands = _grow(coarse)
    phasors = _alternate(coarse, phasors, rounds)
    while step > 1:
        step //= 2
        # Equal work at every step: what is left for the finer lattices is local.
        few = max(1, rounds * step**2 // coarsest**2)
        phasors = _alternate(layer.thinned(step), phasors, few)
    return _keep_mean_phase(phasors, islands)


def _alternate(
    layer: _Layer, phasors: Complex[Tensor, " group"], rounds: int
) -> Complex[Tensor, " group"]:
    """Alternate between the best object and the best phasors until they converge.

    Plain alternation spreads a phase by one window per round, like diffusion. Nesterov's momentum
    makes the number of rounds linear instead of quadratic; it restarts when it overshoots
    (O'Donoghue & Candes, Found. Comput. Math. 15, 715 (2015)).
    """
    coverage = layer.total_weight()
    ahead, age = phasors, 0
    for _ in range(rounds):
        stitched = _divide(layer.place(ahead), coverage)
        latest = _unit(layer.compare(stitched), fallback=phasors)
        step = latest - phasors
        age = 0 if torch.vdot(ahead - latest, step).real > 0 else age + 1
        ahead = latest + (age - 1) / (age + 2) * step if age else latest
        phasors = latest
        if step.abs().square().mean() < _TOLERANCE**2:
            break
    return phasors


def _grow(layer: _Layer) -> tuple[Complex[Tensor, " group"], Int[Tensor, " group"]]:
    """Fit each ring of patches to the sum of the rings inside it.

    Returns:
        The phasors, and the label of the island (patches that reach each other) of each group.
    """
    ring_of_patch, island_of_patch = (t.to(layer.corners.device) for t in _rings(layer))
    ring = ring_of_patch.new_full((layer.n_groups,), torch.iinfo(torch.int64).max)
    ring = ring.scatter_reduce(0, layer.group_of, ring_of_patch, "amin")
    island = torch.zeros_like(ring).scatter_reduce(0, layer.group_of, island_of_patch, "amax")
    phasors = layer.patches.new_ones(layer.n_groups)
    total = layer.patches.new_zeros(layer.shape)
    ring = torch.unique(ring, return_inverse=True)[1][layer.group_of]
    for members in torch.argsort(ring).split(torch.bincount(ring).tolist()):
        here = layer.subset(members)
        # Against the sum, not the mean: at its rim the mean has hardly any weight.
        phasors = _unit(here.compare(total), fallback=phasors)
        total = total + here.place(phasors)
    return phasors, island


def _rings(layer: _Layer) -> tuple[Int[Tensor, " patch"], Int[Tensor, " patch"]]:
    """Number the patches outwards from the middle of their island.

    Windows are binned into cells a quarter of the illuminated width wide; cells up to that width
    apart are linked, and the ring is the path length over links, in cells. So spacing, anisotropy
    and repeated positions of a scan do not matter.

    Returns:
        Ring and island of each patch.
    """
    weight = layer.weights.mean(dim=0).double()
    lit_width = 2 * math.sqrt(float(weight.sum() / weight.max().clamp_min(1e-30)) / math.pi)
    cells, cell_of = np.unique(
        np.floor(layer.corners.cpu().numpy() / max(1.0, lit_width / 4)), axis=0, return_inverse=True
    )
    tree = cKDTree(cells)
    links = tree.sparse_distance_matrix(tree, 4.0, output_type="coo_matrix").tocsr()
    n_islands, island = connected_components(links, directed=False)
    members = [np.flatnonzero(island == number) for number in range(n_islands)]
    middles = [m[np.square(cells[m] - cells[m].mean(axis=0)).sum(axis=1).argmin()] for m in members]
    way = dijkstra(links, indices=middles, min_only=True)
    cell_of = cell_of.ravel()
    ring = 1 + way.astype(np.int64)[cell_of]
    first_in_cell = np.unique(cell_of, return_index=True)[1]
    ring[first_in_cell[middles]] = 0  # one patch to begin with: two would already have to agree
    return torch.from_numpy(ring), torch.from_numpy(island[cell_of].astype(np.int64))


def _divide(
    total: Complex[Tensor, "row col"], coverage: Float[Tensor, "row col"]
) -> Complex[Tensor, "row col"]:
    """Return the weighted mean; 0 where there is no weight."""
    return torch.where(coverage > 0, total / coverage, torch.zeros_like(total))


def _unit(
    values: Complex[Tensor, " group"], fallback: Complex[Tensor, " group"]
) -> Complex[Tensor, " group"]:
    """Scale to modulus 1; what is 0 (no overlap at all) takes the fallback."""
    size = values.abs()
    return torch.where(size > 0, values / size.clamp_min(torch.finfo(size.dtype).tiny), fallback)


def _keep_mean_phase(
    phasors: Complex[Tensor, " group"], islands: Int[Tensor, " group"]
) -> Complex[Tensor, " group"]:
    """Turn every island so that its corrections average to zero: agreement adds no phase."""
    sums = phasors.new_zeros(int(islands.max()) + 1).index_add(0, islands, phasors)
    return phasors * _unit(sums, fallback=torch.ones_like(sums))[islands].conj()
