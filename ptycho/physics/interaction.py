"""How probe and object make the exit wave, and the derivatives of it.

Data flow: batches -> network + [physics] -> trained model.
Knows patches and probes as tensors only. A new interaction defines `exit_waves`; its derivatives
follow by automatic differentiation where it does not define them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ptycho.experiment import Experiment
from ptycho.physics.probe import probe_intensity


class Interaction(ABC):
    """The exit wave as a function of object and probe; linear in the probe."""

    @abstractmethod
    def exit_waves(
        self,
        patches: Complex[Tensor, "*batch row col"],
        probe: Complex[Tensor, "*#batch mode row col"],
    ) -> Complex[Tensor, "*batch mode row col"]:
        """Return the fields behind the sample, sqrt(photons) per object pixel.

        Args:
            patches: object transmission in the window of each frame.
            probe: the probe, or one shifted probe per frame.
        """

    def patch_step(
        self,
        patches: Complex[Tensor, "*batch row col"],
        probe: Complex[Tensor, "*#batch mode row col"],
        change: Complex[Tensor, "*batch mode row col"],
    ) -> Complex[Tensor, "*batch row col"]:
        """Return the adjoint derivative by the patches, applied to a change of the exit waves.

        Args:
            patches: as for `exit_waves`.
            probe: as for `exit_waves`.
            change: of the exit waves.
        """
        return _adjoint(lambda obj: self.exit_waves(obj, probe.clone()), patches, change)

    def probe_step(
        self,
        patches: Complex[Tensor, "*batch row col"],
        probe: Complex[Tensor, "*batch mode row col"],
        change: Complex[Tensor, "*batch mode row col"],
    ) -> Complex[Tensor, "*batch mode row col"]:
        """Return the adjoint derivative by the probe of each frame, applied to a change.

        Args:
            patches: as for `exit_waves`.
            probe: one shifted probe per frame.
            change: of the exit waves.
        """
        return _adjoint(lambda modes: self.exit_waves(patches.clone(), modes), probe, change)

    def patch_weight(
        self, probe: Complex[Tensor, "*batch mode row col"]
    ) -> Float[Tensor, "*batch row col"]:
        """Return |d exit wave / d patch|^2 at o = 1, summed over modes: the curvature of a step.

        Here J^H J 1, which is that for every interaction that acts pixel by pixel.

        Args:
            probe: one shifted probe per frame.
        """
        ones = torch.ones_like(probe[..., 0, :, :])
        step = 1e-3
        ahead, behind = (self.exit_waves(ones + sign * step, probe) for sign in (1, -1))
        slope = (ahead - behind) / (2 * step)
        return self.patch_step(ones, probe, slope).real.clamp_min(0)


class ThinSample(Interaction):
    """The projection approximation: exit wave = probe * transmission.

    Source:
        Rodenburg & Maiden, Springer Handbook of Microscopy (2019), section 17.3.
    """

    def exit_waves(
        self,
        patches: Complex[Tensor, "*batch row col"],
        probe: Complex[Tensor, "*#batch mode row col"],
    ) -> Complex[Tensor, "*batch mode row col"]:
        """Return probe * patch for every mode."""
        return probe * patches.unsqueeze(-3)

    def patch_step(
        self,
        patches: Complex[Tensor, "*batch row col"],
        probe: Complex[Tensor, "*#batch mode row col"],
        change: Complex[Tensor, "*batch mode row col"],
    ) -> Complex[Tensor, "*batch row col"]:
        """Return sum over modes of conj(P) change."""
        return (probe.conj() * change).sum(dim=-3)

    def probe_step(
        self,
        patches: Complex[Tensor, "*batch row col"],
        probe: Complex[Tensor, "*batch mode row col"],
        change: Complex[Tensor, "*batch mode row col"],
    ) -> Complex[Tensor, "*batch mode row col"]:
        """Return conj(o) change."""
        return patches.conj().unsqueeze(-3) * change

    def patch_weight(
        self, probe: Complex[Tensor, "*batch mode row col"]
    ) -> Float[Tensor, "*batch row col"]:
        """Return sum over modes of |P|^2."""
        return probe_intensity(probe)


def _adjoint(function: Callable[[Tensor], Tensor], at: Tensor, change: Tensor) -> Tensor:
    """Return J^H change by reverse differentiation, whatever mode the caller runs in."""
    with torch.inference_mode(False), torch.enable_grad():
        variable = at.detach().clone().requires_grad_(True)
        (found,) = torch.autograd.grad(function(variable), variable, change.clone())
    return found


def thin_sample(experiment: Experiment) -> ThinSample:
    """Return the thin sample; it has no parameter."""
    return ThinSample()
