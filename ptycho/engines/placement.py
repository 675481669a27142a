"""Where the frames really lie: all positions together, and single ones from far away.

Data flow: patches -> object -> [engine] -> object. Plain PyTorch.
Steps of single positions (`position_steps`) reach a third of the width of the probe, and undo half
of an error that all positions share. Here all frames of an iteration together determine rotation,
scale and shear; and a search looks for each frame where the object explains it best.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Complex, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from ptycho.engines.nuisances import Refine
from ptycho.engines.position_steps import MOST_MOVED
from ptycho.engines.problem import Estimate, Problem
from ptycho.physics.counting import root_bias
from ptycho.physics.patches import cut_patches, place_patches, window_corners
from ptycho.physics.probe import probe_fwhm, probe_intensity, shift_each, shift_probe

FARTHEST = 20.0
"""Farthest a searched position may go from where the scan puts it, per axis, object pixels; three
tenths of a frame that is smaller than 64 pixels."""
_SHARE = 0.3

_RIDGE = 1e-3
_LONGEST = 3.0  # of a common step, object pixels at the outermost frame
_SETTLING = 4
"""Iteration of the first common step, from that in which they begin; then every second."""
_SHORTENED = 0.3  # the first step: some maps are four times as soft as the overlap alone makes them
_REMEMBERED, _MIXING_RIDGE = 6, 1e-3
_FORWARD = 0.03
"""Least part of a proposal that a mixed step has to go along it."""
_KNOWN = 1e-6
_PASSES = ((12, 3), (12, 3), (9, 3), (6, 2), (4, 1), (18, 3), (4, 1))
"""Searches one after the other: how far and in which steps, object pixels."""
_EVERY = 3
"""Iterations from one search to the next: the object has to follow."""
_STRAYED = 5
"""The search of those frames only that are explained badly."""
_BADLY = 1.5  # times the median misfit
_WINDOWS_AT_ONCE = 2**20  # pixels
_INSIDE = 0.98  # share of the probe in the middle of its window that allows half a window


def reach(refine: Refine, size: int | None = None) -> float:
    """Return how far positions may go from where the scan puts them, object pixels per axis.

    Args:
        refine: what is refined.
        size: N, pixels per side of a frame; None takes a large one.
    """
    if refine.search or refine.affine:
        return FARTHEST if size is None else min(FARTHEST, _SHARE * size)
    return MOST_MOVED if refine.positions else 0.0


class NormalEquations:
    """What the frames of an iteration say of their positions, as least squares.

    Of each frame: g = J^T (sqrt n - a) and J^T J, with J the derivative of a = sqrt(I + b) by its
    position.

    Args:
        n_frames: of the scan.
        device: of the frames.
    """

    def __init__(self, n_frames: int, device: torch.device):
        self.right = torch.zeros(n_frames, 2, device=device)
        self.left = torch.zeros(n_frames, 2, 2, device=device)

    def add(self, members: Int[Tensor, " frame"], sums: Float[Tensor, "frame 5"]) -> None:
        """Add some frames.

        Args:
            members: which frames of the scan.
            sums: from `position_steps.position_sums`.
        """
        self.right[members] = sums[:, :2]
        self.left[members] = sums[:, [2, 3, 3, 4]].unflatten(1, (2, 2))

    def common_step(
        self, terms: Float[Tensor, "frame term"], relative: Float[Tensor, "frame term"]
    ) -> Float[Tensor, "term 2"]:
        """Return by how much of some common displacements all positions have to move.

        The object follows the frames, so a displacement counts only as far as it differs between
        frames that overlap: with u = terms c, the misfit changes by u^T H (u - W u) / 2 - u^T g,
        where W averages over the overlapping frames.

        Args:
            terms: of all frames; see `CommonStep`.
            relative: terms - W terms.

        Returns:
            c, for rows and columns.

        Source:
            Gauss-Newton with the object eliminated, as in Golub & Pereyra, SIAM J. Numer. Anal. 10,
            413 (1973).
        """
        left = torch.einsum("fi,fj,fab->aibj", terms, relative, self.left.double())
        right = torch.einsum("fi,fa->ai", terms, self.right.double()).flatten()
        matrix = left.reshape(len(right), len(right))
        matrix = (matrix + matrix.mT) / 2
        matrix = matrix + torch.diag(_RIDGE * matrix.diagonal().abs() + 1e-12)
        return torch.linalg.solve(matrix, right).reshape(2, -1).mT


class CommonStep:
    """Rotation, scale and shear of all positions, by steps that learn from one another.

    A step moves along what `NormalEquations.common_step` proposes. How far that falls short is
    seen from the proposals after the last steps, which Anderson mixing uses.

    Args:
        positions: of all frames, object pixels.
        members: frames that take part.
        probe: modes; how far it reaches decides which frames overlap.

    Source:
        Anderson, J. ACM 12, 547 (1965); Walker & Ni, SIAM J. Numer. Anal. 49, 1715 (2011).
    """

    def __init__(
        self,
        positions: Float[Tensor, "frame 2"],
        members: Int[Tensor, " member"],
        probe: Complex[Tensor, "mode row col"],
    ):
        about = (positions - positions[members].mean(dim=0)).double()
        self.terms = about / about[members].abs().amax(dim=0).clamp_min(1.0)
        chosen = self.terms[members].cpu().numpy()
        weights = _overlap(positions[members].cpu().double().numpy(), probe_fwhm(probe) / 3)
        self.relative = torch.zeros_like(self.terms)
        self.relative[members] = torch.from_numpy(chosen - weights @ chosen).to(self.terms)
        self._now = torch.zeros(self.terms.shape[1], 2, dtype=torch.float64)
        self._known: list[tuple[Tensor, Tensor]] = []
        self._seen = 0

    def after(
        self, equations: NormalEquations, positions: Float[Tensor, "frame 2"]
    ) -> Float[Tensor, "frame 2"]:
        """Return the positions after an iteration; the object follows before the next step."""
        self._seen += 1
        if self._seen < _SETTLING or self._seen % 2:
            return positions
        proposed = equations.common_step(self.terms, self.relative).cpu()
        step = self._mixed(proposed)
        farthest = float((self.terms.cpu() @ step).abs().max())
        step = step * min(1.0, _LONGEST / max(farthest, 1e-12))
        self._known = [*self._known, (self._now, proposed)][-_REMEMBERED:]
        self._now = self._now + step
        return positions + (self.terms @ step.to(self.terms)).to(positions)

    def _mixed(self, proposed: Float[Tensor, "term 2"]) -> Float[Tensor, "term 2"]:
        step = _SHORTENED * proposed
        if not self._known:
            return step
        places = torch.stack([(self._now - now).flatten() for now, _ in self._known], dim=1)
        changes = torch.stack([(proposed - then).flatten() for _, then in self._known], dim=1)
        square = changes.mT @ changes
        if not square.trace() > 0:  # the proposals are all the same
            return step
        square = square + _MIXING_RIDGE * square.trace() * torch.eye(len(square))
        shares = torch.linalg.solve(square, changes.mT @ proposed.flatten())
        mixed = step - ((places + _SHORTENED * changes) @ shares).reshape(step.shape)
        # Of small steps the proposals differ by noise alone, which may point anywhere.
        along = float((mixed * proposed).sum() / proposed.square().sum().clamp_min(1e-12))
        return mixed if along > _FORWARD else step


def _overlap(places: np.ndarray, radius: float) -> scipy.sparse.sparray:
    """Return the weights of the mean over overlapping frames: of Gaussians of a radius.

    Args:
        places: of the frames.
        radius: of the probe, per axis.
    """
    pairs = cKDTree(places).query_pairs(3 * radius, output_type="ndarray")
    away = np.square(places[pairs[:, 0]] - places[pairs[:, 1]]).sum(axis=1)
    shared = np.exp(-away / (4 * radius**2))
    half = scipy.sparse.coo_array((shared, (pairs[:, 0], pairs[:, 1])), shape=(len(places),) * 2)
    whole = (half + half.T + scipy.sparse.eye_array(len(places))).tocsr()
    return scipy.sparse.diags_array(1 / whole.sum(axis=1)) @ whole


@torch.no_grad()
def carried_along(
    problem: Problem, estimate: Estimate, positions: Float[Tensor, "frame 2"]
) -> Estimate:
    """Return an estimate at other positions, its object moved with the frames that show it.

    Args:
        problem: the frames.
        estimate: on the device.
        positions: of all frames.
    """
    probe, size = estimate.nuisances.probe, estimate.nuisances.probe.shape[-1]
    members = torch.from_numpy(problem.members).to(problem.device)
    total = torch.zeros_like(estimate.obj)
    weight = torch.zeros_like(estimate.obj.real)
    for part in members.split(max(1, _WINDOWS_AT_ONCE // size**2)):
        corners, fractions = window_corners(estimate.nuisances.positions[part], size)
        patches = cut_patches(estimate.obj, corners - problem.origin, size)
        corners, moved = window_corners(positions[part], size)
        patches = shift_each(patches, moved - fractions)
        lit = probe_intensity(shift_probe(probe, moved))
        total += place_patches(patches * lit, corners - problem.origin, problem.canvas.shape)
        weight += place_patches(lit, corners - problem.origin, problem.canvas.shape)
    known = weight > _KNOWN * weight.max()
    obj = torch.where(known, total / weight.clamp_min(1e-12), estimate.obj)
    return Estimate(obj, estimate.nuisances._replace(positions=positions))


class Found(NamedTuple):
    """A search in the neighbourhood of each position."""

    steps: Float[Tensor, "step 2"]
    """Displacements tried, object pixels."""

    misfits: Float[Tensor, "frame step"]
    """sum (sqrt n + bias - sqrt I)^2 of each frame at each of them."""


@torch.no_grad()
def misfits_around(
    problem: Problem,
    estimate: Estimate,
    members: Int[Tensor, " frame"],
    amplitude: Float[Tensor, "frame row col"],
    farthest: int,
    step: int,
) -> Found:
    """Return how well the object explains frames at displaced positions.

    Where the probe lies within half its window, every second detector pixel is used, which half a
    window determines.

    Args:
        problem: the frames.
        estimate: object and nuisance parameters, on the device.
        members: which frames.
        amplitude: theirs.
        farthest: displacement along each axis, whole pixels.
        step: between displacements, whole pixels.
    """
    nuisances, size = estimate.nuisances, amplitude.shape[-1]
    axis = torch.arange(-farthest, farthest + 1, step, device=problem.device)
    steps = torch.cartesian_prod(axis, axis)
    corners, fractions = window_corners(nuisances.positions[members], size)
    probe = nuisances.probes(fractions, members)
    good = ~problem.held_out.excluded_in(members)
    background = nuisances.background
    quarter = size // 4
    inner = slice(quarter, size - quarter)
    lit = probe_intensity(nuisances.probe)
    halved = size % 4 == 0 and problem.forward.plain
    if halved and float(lit[inner, inner].sum() / lit.sum()) > _INSIDE:
        corners, probe = corners + quarter, probe[..., inner, inner]
        # A transform of unit norm over a quarter of the pixels has half the root of the photons.
        amplitude, good, size = amplitude[..., ::2, ::2], good[..., ::2, ::2], size // 2
        probe = probe * 0.5
        background = None if background is None else background[::2, ::2]
    first = (corners - problem.origin)[:, None] + steps
    most = torch.tensor(estimate.obj.shape, device=first.device) - size
    first = torch.minimum(first.clamp_min(0), most)
    misfits = []
    at_once = max(1, _WINDOWS_AT_ONCE // (len(steps) * size**2))
    for part in torch.arange(len(members), device=problem.device).split(at_once):
        patches = cut_patches(estimate.obj, first[part].flatten(0, 1), size)
        patches = patches.unflatten(0, (len(part), len(steps)))
        expected = problem.forward.intensity(patches, probe[part, None])
        if background is not None:
            expected = expected + background
        root = expected.sqrt()
        wrong = root - root_bias(root) - amplitude[part, None]
        misfits.append((wrong.square() * good[part, None]).sum(dim=(-2, -1)))
    scale = (amplitude.shape[-1] / estimate.nuisances.probe.shape[-1]) ** 2
    return Found(steps, torch.cat(misfits) / scale)


@torch.no_grad()
def searched(
    problem: Problem, estimate: Estimate, given: Float[Tensor, "frame 2"], search: int
) -> Float[Tensor, "frame 2"]:
    """Return positions after the search of an iteration; the same where it has none.

    Each frame goes where misfit and distance from where the scan puts it are least together:

        2 sum (sqrt n + bias - sqrt I)^2 + |r - r_given|^2 / (2 s^2)

    which is minus the logarithm of its probability, with s the root mean square of the distances
    found so far.

    Args:
        problem: the frames.
        estimate: on the device.
        given: positions of the scan.
        search: iterations since the first one with a search, from 0.
    """
    positions = estimate.nuisances.positions
    number, rest = divmod(search, _EVERY)
    if rest or number >= len(_PASSES):
        return positions
    farthest, step = _PASSES[number]
    most = min(FARTHEST, _SHARE * problem.frames.raw.frame_size)
    moved = positions.clone()
    members = torch.from_numpy(problem.members).to(problem.device)
    away = (positions - given)[members].square().mean().sqrt().clamp_min(step)
    spread = float(away) if number else most / 3
    batch = max(1, 4 * _WINDOWS_AT_ONCE // problem.frames.raw.frame_size**2)
    if number == _STRAYED:
        members = _badly_explained(problem, estimate, batch)
    chosen = set(members.tolist())
    for numbers, amplitude in problem.batches(batch):
        here = torch.tensor([n in chosen for n in numbers.tolist()], device=numbers.device)
        numbers, amplitude = numbers[here], amplitude[here]
        if not len(numbers):
            continue
        found = misfits_around(problem, estimate, numbers, amplitude, farthest, step)
        there = (positions[numbers, None] + found.steps).clamp(
            given[numbers, None] - most, given[numbers, None] + most
        )
        away = (there - given[numbers, None]).square().sum(dim=-1)
        best = (2 * found.misfits + away / (2 * spread**2)).argmin(dim=1)
        moved[numbers] = there[torch.arange(len(numbers), device=numbers.device), best]
    return moved


def _badly_explained(problem: Problem, estimate: Estimate, batch: int) -> Int[Tensor, " frame"]:
    members, misfits = [], []
    for numbers, amplitude in problem.batches(batch):
        found = misfits_around(problem, estimate, numbers, amplitude, 0, 1)
        members.append(numbers)
        misfits.append(found.misfits[:, 0] / amplitude.square().sum(dim=(-2, -1)).clamp_min(1.0))
    share = torch.cat(misfits)
    return torch.cat(members)[share > _BADLY * share.median()]
