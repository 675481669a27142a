"""The update of an object by a batch of frames, and what the frames say of nuisance parameters.

Data flow: patches -> object -> [engine] -> object. Plain PyTorch, on any device.
`fused` does the same on the processor in compiled loops.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptycho.engines.background import BackgroundSum
from ptycho.engines.held_out import Misfit
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.engines.position_steps import position_sums, probe_slopes
from ptycho.engines.problem import Estimate, PlacedFrames, Problem
from ptycho.engines.varying_probe import Variation, VariationSum, fit_frames
from ptycho.physics.counting import root_bias
from ptycho.physics.forward import BackProjection, update_step
from ptycho.physics.probe import unshift_to_probe


class Sums:
    """What an iteration sums up over its batches."""

    def __init__(self) -> None:
        self.misfit = Misfit()
        self.background: BackgroundSum | None = None
        self.variation: VariationSum | None = None


class Update(NamedTuple):
    """What a batch makes of the object, and says of the nuisance parameters where it was asked."""

    obj: Complex[Tensor, "height width"]
    """The object after the batch."""

    probe_step: Complex[Tensor, "mode row col"] | None = None
    """sum_i conj(o_i) (psi'_i - psi_i), each moved back by the rest of its position."""

    probe_weight: Float[Tensor, "row col"] | None = None
    """sum_i |o_i|^2."""

    photons: Float[Tensor, "frame 2"] | None = None
    """For `nuisances.beam_factors`."""

    positions: Float[Tensor, "frame 5"] | None = None
    """See `position_steps.position_sums`."""

    variation: Variation | None = None
    """How the probe varies, after these frames."""


class Total(NamedTuple):
    """What all frames together say of an object; see `physics.forward.BackProjection`."""

    step: Complex[Tensor, "height width"]
    illumination: Float[Tensor, "height width"]
    probe_step: Complex[Tensor, "mode row col"] | None = None
    """As those of `Update`."""
    probe_weight: Float[Tensor, "row col"] | None = None


@runtime_checkable
class Updater(Protocol):
    """The frames of a problem, updating an object batch by batch."""

    def update(
        self,
        estimate: Estimate,
        part: Int[Tensor, " frame"],
        *,
        damping: float,
        refine: Refine,
        sums: Sums,
    ) -> Update:
        """Return what a batch makes of an estimate; all of it refers to that before the batch.

        Args:
            estimate: on the device of the problem; its object may be overwritten.
            part: which of the members of the problem.
            damping: see `physics.forward.update_step`.
            refine: which nuisance parameters to say something of.
            sums: of the iteration, added to.
        """
        ...

    def total(
        self,
        estimate: Estimate,
        size: int,
        sums: Sums,
        *,
        probe: bool = False,
        excess: float | None = None,
    ) -> Total:
        """Return what all frames together say.

        Args:
            estimate: on the device of the problem.
            size: frames at a time.
            sums: its misfit is added to.
            probe: whether they are to say something of the probe.
            excess: of a likelihood that asks for the step; see `physics.detector.Measured`.
        """
        ...


class TensorUpdater:
    """The updater in tensors.

    Args:
        problem: whose frames update the object.
    """

    def __init__(self, problem: Problem):
        self.problem = problem

    def update(
        self,
        estimate: Estimate,
        part: Int[Tensor, " frame"],
        *,
        damping: float,
        refine: Refine,
        sums: Sums,
    ) -> Update:
        """Return what a batch makes of an estimate; see `Updater.update`."""
        problem, forward = self.problem, self.problem.forward
        obj, nuisances = estimate
        members, amplitude = problem.batch(part)
        frames = problem.placed(members, amplitude, nuisances)
        shifted = nuisances.probes(frames.fractions, members)
        found = forward.back_project(obj, frames.corners, shifted, frames.measured)
        coherent = forward.detector.intensity(found.on_detector)
        expected = nuisances.with_background(coherent)
        used = ~problem.held_out.excluded_in(members)
        problem.held_out.add_to(sums.misfit, expected, amplitude, members)
        update = Update(obj + update_step(found.step, found.illumination, damping=damping))
        if refine.background:
            known = sums.background or BackgroundSum.empty(coherent[0])
            sums.background = known.with_frames(coherent, amplitude, used, nuisances.background)
        if refine.probe:
            back = forward.interaction.probe_step(found.patches, shifted, found.change)
            update = update._replace(
                probe_step=unshift_to_probe(back, frames.fractions),
                probe_weight=found.patches.abs().square().sum(dim=0),
            )
        if refine.variation:
            update = update._replace(variation=self._varied(nuisances, found, frames, sums))
        if refine.intensity:
            background = nuisances.background
            counted = amplitude.square()
            counted = counted if background is None else counted - background
            both = torch.stack([counted, coherent], dim=1) * used.unsqueeze(1)
            update = update._replace(photons=both.sum(dim=(-2, -1)))
        if refine.positions or refine.affine:
            patches = found.patches[:, None].expand(-1, 2, -1, -1)
            change = forward.waves(patches, probe_slopes(shifted))
            change = (found.on_detector.unsqueeze(1).conj() * change).real.sum(dim=2)
            modelled = expected.sqrt()
            counted = amplitude + root_bias(modelled) if problem.unbiased else amplitude
            slopes = forward.detector.spread(change)
            update = update._replace(positions=position_sums(slopes, modelled, counted, used))
        return update

    def total(
        self,
        estimate: Estimate,
        size: int,
        sums: Sums,
        *,
        probe: bool = False,
        excess: float | None = None,
    ) -> Total:
        """Return what all frames together say; see `Updater.total`."""
        problem, forward = self.problem, self.problem.forward
        obj, nuisances = estimate
        step, light = torch.zeros_like(obj), torch.zeros_like(obj.real)
        of_probe, weight = torch.zeros_like(nuisances.probe), torch.zeros_like(nuisances.probe[0])
        weight = weight.real
        for part in problem.parts(size):
            members, amplitude = problem.batch(part)
            frames = problem.placed(members, amplitude, nuisances, excess)
            shifted = nuisances.probes(frames.fractions, members)
            found = forward.back_project(obj, frames.corners, shifted, frames.measured)
            step += found.step
            light += found.illumination
            expected = nuisances.with_background(forward.detector.intensity(found.on_detector))
            problem.held_out.add_to(sums.misfit, expected, amplitude, members)
            if probe:
                back = forward.interaction.probe_step(found.patches, shifted, found.change)
                of_probe += unshift_to_probe(back, frames.fractions)
                weight += found.patches.abs().square().sum(dim=0)
        return Total(step, light, of_probe, weight) if probe else Total(step, light)

    def _varied(
        self, nuisances: Nuisances, found: BackProjection, frames: PlacedFrames, sums: Sums
    ) -> Variation:
        """Return how the probe varies, after the frames of a batch."""
        now = nuisances.variation
        if now is None:
            now = Variation.none(nuisances.probe, len(nuisances.positions))
        sums.variation = sums.variation or VariationSum.empty(now)
        parts = now.parts_of(nuisances.probe, frames.fractions)
        parts = nuisances.at_beam(parts, frames.members)
        return fit_frames(
            now, sums.variation, found, self.problem.forward, parts=parts,
            fractions=frames.fractions, members=frames.members,
        )  # fmt: skip
