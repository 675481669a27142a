"""Sweeps: a stitched object improved by all frames of the scan at once, until that stops helping.

Way of the data: patches -> object -> [sweeps] -> object. Plain PyTorch.
A network corrects a group by what it has learned; a sweep corrects the whole object by the
measurement alone, batch after batch of frames, starting where the network ended. Noise is what
ends it: a few pixels of every frame take no part in the correction, and as soon as the object stops
predicting them better it has begun to learn the noise of the others.
"""

from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from ptycho.engines.nuisances import (
    BackgroundSum,
    Nuisances,
    Refine,
    beam_factors,
    moved,
    position_steps,
    probe_slopes,
)
from ptycho.physics.forward import back_project, pull_of
from ptycho.physics.losses import poisson_loss
from ptycho.physics.patches import Canvas, window_corners
from ptycho.physics.probe import probe_intensity, shift_probe, unshift_to_probe
from ptycho.physics.propagation import to_detector
from ptycho.progress import Track
from ptycho.scan.dataset import GroupBatch, GroupDataset

HELD_OUT = 0.02
"""Share of the detector pixels kept for judging. They are few because they are missed: with 5 % the
phase of one scan at 0.6 linear overlap and 1e6 photons ended 7 dB lower than with 1 %."""

MOST_SWEEPS = 100
_GAIN = 1e-3  # smallest relative fall of the free residual that counts as better
_MASKS = 64  # different patterns of held-out pixels; frames take them in turn
_DAMPING = 0.1
_GROWTH = 1.2  # of the damping per sweep, once the object has settled
_FIRM = 20.0  # times the first damping: nothing moves any more
_SETTLED = 0.005  # relative fall of the free residual in three sweeps, below which it has settled
_WAVER = 3  # sweeps whose mean free residual counts: single ones waver, and the least one flatters
_MOMENTUM = 0.8
"""Share of the last sweep's change that the next one starts with. At 0.4 linear overlap and 1e6
photons 40 sweeps end at 43 dB of phase with it, at 32 dB without."""


class Swept(NamedTuple):
    """An object after its sweeps."""

    obj: Complex[Tensor, "height width"]
    """Transmission on the canvas."""

    probe: Complex[Tensor, "mode row col"]
    """As given, or refined along with the object."""

    free_residual: list[float]
    """Misfit of the held-out pixels, met during each sweep: the Poisson deviance per photon."""

    kept: int
    """The sweep whose result this is, from 1; 0 when none helped."""

    beside: Nuisances | None = None
    """Probe, positions, beam and background that go with the object, as given or as refined."""


@torch.inference_mode()
def sweep_scan(
    obj: Complex[Tensor, "height width"],
    canvas: Canvas,
    probe: Complex[Tensor, "mode row col"],
    dataset: GroupDataset,
    *,
    sweeps: int | None,
    batch_size: int,
    seed: int,
    refine_probe: bool,
    device: torch.device,
    track: Track,
    refine_positions: bool = False,
    refine_intensity: bool = False,
    refine_background: bool = False,
) -> Swept:
    """Correct an object by sweeps over all frames.

    For a batch of frames b, with psi_i = P_i o and psi'_i of measured modulus:

        o <- o + sum_b conj(P_i) (psi'_i - psi_i) / (sum_b |P_i|^2 + damping max sum_b |P_i|^2)

    Every sweep starts a little ahead, o + momentum (o - o of the sweep before): coarse structures,
    which the overlap hands on frame by frame, settle in a third of the sweeps. The damping stays as
    long as the free residual falls: long steps find the object. Then it grows from sweep to sweep
    until nothing moves: an average over many frames keeps their noise out. A refined probe follows
    from the second sweep on by the same formula with the parts exchanged, and keeps its power. What
    else is refined, see `ptycho.engines.nuisances`.

    Args:
        obj: where to start from, transmission on the canvas.
        canvas: where it lies; holds the windows of all frames, where they may move to.
        probe: modes in sqrt(photons) per object pixel.
        dataset: frames, as groups of one.
        sweeps: how many; None ends when the object has settled and its noise is averaged out.
        batch_size: frames corrected together.
        seed: of the order of the frames and of the pixels held out.
        refine_probe: whether to correct the probe too.
        device: where to compute; results come back to the CPU.
        track: wraps the numbers of the sweeps, given the most there can be, to show progress.
        refine_positions: whether to correct the positions too.
        refine_intensity: whether to find how bright the beam was in each frame.
        refine_background: whether to find what fell on the detector from elsewhere.

    Source:
        The step is rPIE's (Maiden, Johnson & Li, Optica 4, 736 (2017)) for many frames at once;
        momentum: the same, section 4 (mPIE);
        judging by data left out: Brunger, Nature 355, 472 (1992).
    """
    generator = torch.Generator().manual_seed(seed)
    masks = held_out_masks(probe.shape[-1], generator).to(device)
    refine = Refine(refine_probe, refine_positions, refine_intensity, refine_background)
    obj, beside = obj.to(device), Nuisances.given(probe.to(device), dataset)
    start, members = beside, dataset.groups.ravel()
    kept = Swept(obj, beside.probe, [], 0, beside)
    history: list[float] = []
    least, before = float("inf"), obj
    most, damping = MOST_SWEEPS if sweeps is None else sweeps, _DAMPING
    for number in track(range(1, most + 1), most):
        if damping > _DAMPING or (number > refine.complete and settled(history)):
            damping *= _GROWTH
        positions = beside.positions
        batches = (
            PlacedFrames.of(batch.to(device), positions, canvas, masks)
            for batch in _shuffled(dataset, batch_size, generator)
        )
        ahead = obj + _MOMENTUM * (obj - before)
        before = obj
        obj, beside, stray, misfit = _sweep(
            ahead, beside, batches, start.positions, damping, refine.in_sweep(number)
        )
        beside = beside.settled(start, members, stray)
        history.append(misfit.value)
        level = fmean(history[-_WAVER:])
        if (
            number > _WAVER
        ):  # what the first sweep meets is the start, as smooth as a network left it
            least = min(least, level)
        if sweeps is not None or misfit.as_good_as(least, level):
            kept = Swept(obj, beside.probe, history, number, beside)
        if sweeps is None and damping >= _FIRM * _DAMPING:
            break
    beside = kept.beside.to(torch.device("cpu"))
    return Swept(kept.obj.cpu(), beside.probe, history, kept.kept, beside)


class PlacedFrames(NamedTuple):
    """A batch of single frames, placed on the canvas of the whole scan."""

    amplitude: Float[Tensor, "frame row col"]
    members: Int[Tensor, " frame"]
    """Which frames of the scan; on the CPU, as the positions are."""
    corners: Int[Tensor, "frame 2"]
    fractions: Float[Tensor, "frame 2"]
    left_out: Bool[Tensor, "frame row col"]
    """Pixels that take no part in the correction: bad ones, and those kept for judging."""
    judging: Bool[Tensor, "frame row col"]

    @classmethod
    def of(
        cls,
        batch: GroupBatch,
        positions: Float[Tensor, "position 2"],
        canvas: Canvas,
        masks: Bool[Tensor, "mask row col"],
    ) -> "PlacedFrames":
        """Place the frames of a batch, groups of one.

        Args:
            batch: on any device.
            positions: of all frames of the scan, on the CPU.
            canvas: holds the windows of all frames.
            masks: pixels held out, from `held_out_masks`.
        """
        frames = batch.members.flatten()
        where = frames.device
        left_out = judging = masks[frames % _MASKS]
        if batch.mask is not None:
            left_out, judging = left_out | ~batch.mask, judging & batch.mask
        members = frames.cpu()
        corners, fractions = window_corners(positions[members], batch.amplitude.shape[-1])
        corners = (corners - torch.tensor(canvas.origin)).to(where)
        amplitude = batch.amplitude.flatten(0, 1)
        return cls(amplitude, members, corners, fractions.to(where), left_out, judging)


class FreeResidual:
    """Misfit of the pixels that judge, summed over batches: Poisson deviance per photon."""

    def __init__(self) -> None:
        self._misfit = self._photons = 0.0

    def add(self, expected: Float[Tensor, "frame row col"], frames: PlacedFrames) -> None:
        """Count some more frames.

        Args:
            expected: photons per detector pixel.
            frames: the same ones measured.
        """
        which = frames.judging.flatten().nonzero()[:, 0]
        amplitude, expected = (values.flatten()[which] for values in (frames.amplitude, expected))
        counted = float(amplitude.square().sum())
        self._misfit += counted * float(poisson_loss(expected[None], amplitude[None]))
        self._photons += counted

    @property
    def value(self) -> float:
        """The misfit over the photons counted so far."""
        return self._misfit / max(self._photons, 1.0)

    def as_good_as(self, least: float, value: float | None = None) -> bool:
        """Return whether it is the least, or above it by no more than counting so few can tell.

        n photons tell a share of n^-1/2, of which two are allowed. Between sweeps that differ by
        less, the later is taken: what has not converged yet (coarse phases, faint parts) hardly
        shows in few photons.

        Args:
            least: free residual so far.
            value: what to compare with it; None takes the misfit itself.
        """
        value = self.value if value is None else value
        return value <= least * (1 + 2 * max(self._photons, 1.0) ** -0.5)


def _sweep(
    obj: Complex[Tensor, "height width"],
    beside: Nuisances,
    batches: Iterable[PlacedFrames],
    given: Float[Tensor, "position 2"],
    damping: float,
    turn: Refine,
) -> tuple[Tensor, Nuisances, BackgroundSum | None, FreeResidual]:
    """Return object and the rest after all batches, the stray light, and the free residual."""
    stray, misfit = None, FreeResidual()
    for frames in batches:
        before = beside
        obj, beside, coherent = _correct(obj, beside, frames, given, damping, turn)
        if turn.background:
            stray = (stray or BackgroundSum.nothing(coherent[0])).with_frames(
                coherent, frames.amplitude, ~frames.left_out, before.background
            )
        misfit.add(before.with_background(coherent), frames)
    return obj, beside, stray, misfit


def _correct(
    obj: Complex[Tensor, "height width"],
    beside: Nuisances,
    frames: PlacedFrames,
    given: Float[Tensor, "position 2"],
    damping: float,
    turn: Refine,
) -> tuple[Tensor, Nuisances, Tensor]:
    """Return object and the rest after one batch, and what the sample was expected to scatter."""
    probe, corners = beside.probe, frames.corners
    shifted = beside.brightened(shift_probe(probe, frames.fractions), frames.members)
    found = back_project(
        obj, corners, shifted, frames.amplitude, left_out=frames.left_out,
        background=beside.background,
    )  # fmt: skip
    corrected = obj + pull_of(found.step, found.light, damping=damping)
    patches, change, on_detector = found.patches, found.change, found.on_detector
    coherent = probe_intensity(on_detector)
    if turn.probe:
        seen = patches.abs().square().sum(dim=0)
        back = unshift_to_probe(patches.conj().unsqueeze(-3) * change, frames.fractions)
        stepped = probe + back / (seen + damping * seen.max()).clamp_min(1e-12)
        power = probe_intensity(probe).sum() / probe_intensity(stepped).sum()
        beside = beside._replace(probe=stepped * power.sqrt())
    if turn.intensity:
        beside = beside.with_beam(
            frames.members,
            beam_factors(coherent, frames.amplitude, ~frames.left_out, beside.background),
        )
    if turn.positions:
        slopes = to_detector(probe_slopes(shifted) * patches[:, None, None])
        steps = position_steps(
            on_detector, slopes, beside.with_background(coherent).sqrt(), frames.amplitude,
            ~frames.left_out,
        )  # fmt: skip
        positions = moved(beside.positions, given, frames.members, steps.cpu())
        beside = beside._replace(positions=positions)
    return corrected, beside, coherent


def _shuffled(dataset: GroupDataset, size: int, generator: torch.Generator) -> Iterator[GroupBatch]:
    order = torch.randperm(len(dataset), generator=generator)
    for part in order.split(size):
        yield dataset[part.tolist()]


def held_out_masks(size: int, generator: torch.Generator) -> Bool[Tensor, "mask row col"]:
    """Return patterns of detector pixels that only judge; frame i has the i-th, in turn.

    Args:
        size: N, pixels.
        generator: seeded afresh it gives the same patterns again.
    """
    return torch.rand(_MASKS, size, size, generator=generator) < HELD_OUT


def settled(free_residuals: Sequence[float]) -> bool:
    """Return whether three sweeps have brought hardly more than the three before.

    What the first sweep meets is the start, so that one does not count.

    Args:
        free_residuals: met during each sweep so far.
    """
    before, lately = free_residuals[-2 * _WAVER : -_WAVER], free_residuals[-_WAVER:]
    enough = len(free_residuals) > 2 * _WAVER
    return enough and fmean(lately) > (1 - _SETTLED) * fmean(before)


def better(value: float, best: float) -> bool:
    """Return whether a free residual is so far below the best that more than chance did it."""
    return value < (1 - _GAIN) * best
