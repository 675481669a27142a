"""A probe that varies over the scan, as a mean and a few orthogonal components.

Data flow: patches -> object -> [engine] -> object. Plain PyTorch.
The first mode of frame j is

    P_j = P + p sum_k a_jk V_k,   p^2 = sum |P|^2,   sum |V_k|^2 = 1

with real a_jk: pointing, drift of the optics and beam intensity change it by little, and in few
ways. Each iteration solves for the weights of each frame by least squares, then for the components
from all frames together.

Source:
    Odstrcil et al., Opt. Express 24, 8360 (2016): orthogonal probe relaxation; real weights as in
    Odstrcil, Menzel & Guizar-Sicairos, Opt. Express 26, 3108 (2018).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptycho.physics.forward import BackProjection, ForwardModel
from ptycho.physics.probe import probe_intensity, shift_probe, unshift_to_probe

COMPONENTS = 3
"""Orthogonal components of a varying probe."""

_RIDGE = 1e-3
_FLOOR = 1e-2
"""Of the brightest pixel: illumination below which a component stays what it is."""
_ORDERS = ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
"""Powers of row and column with which the components start."""


class Variation(NamedTuple):
    """How the first mode of a probe differs from frame to frame."""

    components: Complex[Tensor, "component row col"]
    """V, orthogonal and of power 1."""

    weights: Float[Tensor, "frame component"]
    """a of all frames of the scan; their mean over the frames that take part is 0."""

    @classmethod
    def none(
        cls, probe: Complex[Tensor, "mode row col"], n_frames: int, count: int = COMPONENTS
    ) -> "Variation":
        """Return components to start from, of weight 0.

        The probe times slow random complex factors: pointing in both spaces, and defocus.

        Args:
            probe: modes, any unit.
            n_frames: of the scan.
            count: number of components.
        """
        size = probe.shape[-1]
        axis = (torch.arange(size, device=probe.device) - size // 2) / size
        shapes = torch.stack([axis[:, None] ** a * axis**b for a, b in _ORDERS])
        shapes = shapes / shapes.abs().amax(dim=(-2, -1), keepdim=True)
        generator = torch.Generator().manual_seed(0)
        factors = torch.randn(count, len(_ORDERS), 2, generator=generator)
        factors = torch.view_as_complex(factors).to(probe)
        components = torch.einsum("ko,orc->krc", factors, shapes.to(probe)) * probe[0]
        weights = torch.zeros(n_frames, count, device=probe.device)
        return cls(*_orthogonal(components, weights))

    def to(self, device: torch.device) -> "Variation":
        """Return the same on a device."""
        return Variation(self.components.to(device), self.weights.to(device))

    def added(
        self,
        shifted: Complex[Tensor, "frame mode row col"],
        parts: Complex[Tensor, "frame component row col"],
        members: Int[Tensor, " frame"],
    ) -> Complex[Tensor, "frame mode row col"]:
        """Return the probes of some frames with what each has of the components.

        Args:
            shifted: the mean probe at the sub-pixel positions of the frames.
            parts: the components there, in the unit of the probe; see `parts_of`.
            members: which frames of the scan.
        """
        own = torch.einsum("fk,fkrc->frc", self.weights[members].to(parts), parts)
        return torch.cat([shifted[:, :1] + own[:, None], shifted[:, 1:]], dim=1)

    def parts_of(
        self, probe: Complex[Tensor, "mode row col"], fractions: Float[Tensor, "frame 2"]
    ) -> Complex[Tensor, "frame component row col"]:
        """Return the components at the sub-pixel positions of frames, in the unit of a probe."""
        return shift_probe(self.components * _root_power(probe), fractions)

    def in_gauge(
        self, probe: Complex[Tensor, "mode row col"], members: Int[Tensor, " member"]
    ) -> tuple["Variation", Complex[Tensor, "mode row col"]]:
        """Return the same illumination with orthogonal components and weights of mean 0.

        Args:
            probe: the mean so far, which takes over the mean of the weights.
            members: frames that take part.
        """
        mean = self.weights[members].mean(dim=0)
        weights = torch.zeros_like(self.weights)
        weights[members] = self.weights[members] - mean
        share = torch.einsum("k,krc->rc", mean.to(probe), self.components)
        centred = torch.cat([(probe[0] + _root_power(probe) * share)[None], probe[1:]])
        weights = weights * (_root_power(probe) / _root_power(centred))  # their unit is its power
        return Variation(*_orthogonal(self.components, weights)), centred

    def shares(self, members: Int[Tensor, " member"]) -> list[float]:
        """Return the power of each component relative to that of the mean probe."""
        shares: list[float] = self.weights[members].square().mean(dim=0).tolist()
        return shares


@dataclass(kw_only=True)
class VariationSum:
    """Sums over the frames of an iteration, from which the components follow."""

    right: Complex[Tensor, "component row col"]
    left: Float[Tensor, "component row col"]

    @classmethod
    def empty(cls, variation: Variation) -> "VariationSum":
        """Return the sums over no frame."""
        zero = torch.zeros_like(variation.components)
        return cls(right=zero, left=zero.real.clone())

    def improved(self, variation: Variation, probe: Complex[Tensor, "mode row col"]) -> Variation:
        """Return the components after an iteration."""
        floor = _FLOOR * self.left.amax(dim=(-2, -1), keepdim=True)
        step = self.right / (self.left + floor).clamp_min(1e-12)
        components = variation.components + step / _root_power(probe)
        return variation._replace(components=components)


def fit_frames(
    variation: Variation,
    sums: VariationSum,
    found: BackProjection,
    forward: ForwardModel,
    *,
    parts: Complex[Tensor, "frame component row col"],
    fractions: Float[Tensor, "frame 2"],
    members: Int[Tensor, " frame"],
) -> Variation:
    """Return the variation with the weights of some frames solved for; add the frames to the sums.

        min_a sum |chi - sum_k a_k V_k O|^2

    Args:
        variation: so far.
        sums: of the iteration, changed in place.
        found: chi, and the windows O of the object.
        forward: how they interact.
        parts: the components at the frames, in the unit of the probe.
        fractions: sub-pixel rests of the positions of the frames.
        members: which frames of the scan.
    """
    waves = forward.interaction.exit_waves(found.patches, parts)
    missing = found.change[:, :1]
    left = torch.einsum("fkrc,flrc->fkl", waves.conj(), waves).real
    right = torch.einsum("fkrc,frc->fk", waves.conj(), missing[:, 0]).real
    ridge = _RIDGE * left.diagonal(dim1=-2, dim2=-1).mean(dim=-1).clamp_min(1e-12)
    left = left + ridge[:, None, None] * torch.eye(left.shape[-1], device=left.device)
    steps = torch.linalg.solve(left, right)
    weights = variation.weights.clone()
    weights[members] += steps
    now = weights[members]
    missing = missing - torch.einsum("fk,fkrc->frc", steps.to(waves), waves)[:, None]
    back = forward.interaction.probe_step(found.patches, parts[:, :1], missing)
    sums.right += unshift_to_probe(back * now[..., None, None], fractions)
    lit = found.patches.abs().square()
    sums.left += torch.einsum("fk,frc->krc", now.square(), lit)
    return variation._replace(weights=weights)


def _root_power(probe: Complex[Tensor, "mode row col"]) -> Float[Tensor, ""]:
    return probe_intensity(probe).sum().sqrt()


def _orthogonal(
    components: Complex[Tensor, "component row col"], weights: Float[Tensor, "frame component"]
) -> tuple[Complex[Tensor, "component row col"], Float[Tensor, "frame component"]]:
    """Return the same products with orthogonal components of power 1, the strongest first.

    Weights are real, so orthogonal means that Re <V_k, V_l> = 0.
    """
    flat = torch.view_as_real(components).flatten(1)
    basis, triangle = torch.linalg.qr(flat.mT)
    turned, strength, mixing = torch.linalg.svd(weights @ triangle.mT, full_matrices=False)
    flat = mixing @ basis.mT
    found = torch.view_as_complex(flat.unflatten(1, (*components.shape[1:], 2)).contiguous())
    return found, turned * strength
