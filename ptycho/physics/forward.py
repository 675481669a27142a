"""The measurement and its adjoint step: exit waves, intensities, back-projection.

Way of the data: batches -> network + [physics] -> trained model.
Knows patches, probes and frames as tensors; nothing of scans or networks.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from ptycho.physics.patches import cut_patches, place_patches
from ptycho.physics.probe import probe_intensity
from ptycho.physics.propagation import to_detector, to_sample


def exit_waves(
    patches: Complex[Tensor, "*batch row col"], probe: Complex[Tensor, "*#batch mode row col"]
) -> Complex[Tensor, "*batch mode row col"]:
    """Multiply every patch with every probe mode (thin sample).

    Args:
        patches: object transmission in the window of each frame.
        probe: the probe, or one shifted probe per frame.

    Returns:
        Fields behind the sample, sqrt(photons) per object pixel.
    """
    return probe * patches.unsqueeze(-3)


def detector_intensity(
    waves: Complex[Tensor, "*batch mode row col"],
) -> Float[Tensor, "*batch row col"]:
    """Return expected photons per detector pixel: modes add up incoherently.

    Args:
        waves: exit waves, sqrt(photons) per object pixel.

    Source:
        Thibault & Menzel, Nature 494, 68 (2013), eq. 1.
    """
    return probe_intensity(to_detector(waves))


def replace_modulus(
    on_detector: Complex[Tensor, "*batch mode row col"],
    amplitude: Float[Tensor, "*batch row col"],
    left_out: Bool[Tensor, "*#batch row col"] | None = None,
    background: Float[Tensor, "row col"] | None = None,
) -> Complex[Tensor, "*batch mode row col"]:
    """Give detector waves the measured modulus; their phases and the shares of the modes stay.

    Args:
        on_detector: waves on the detector, sqrt(photons) per pixel.
        amplitude: measured sqrt(photons) per pixel.
        left_out: pixels left as they are, as dead ones or those kept for judging.
        background: photons per pixel that the waves do not make; they take their share of n.

    Source:
        Several modes: Thibault & Menzel, Nature 494, 68 (2013), eq. 3; the background is one more
        incoherent part.
    """
    modelled = probe_intensity(on_detector)
    modelled = (modelled if background is None else modelled + background).sqrt()
    # Where the model is this dark its phase is rounding error; a measured photon there is left out
    # rather than given a random phase.
    floor = 1e-4 * modelled.amax(dim=(-2, -1), keepdim=True) + torch.finfo(modelled.dtype).tiny
    ratio = amplitude / torch.maximum(modelled, floor)
    if left_out is not None:
        ratio = torch.where(left_out, torch.ones_like(ratio), ratio)
    return on_detector * ratio.unsqueeze(-3)


class BackProjection(NamedTuple):
    """What frames say of an object, and what was found on the way."""

    step: Complex[Tensor, "*batch height width"]
    """sum_i conj(P_i) (psi'_i - psi_i) on the object's canvas, photons."""

    light: Float[Tensor, "*batch height width"]
    """sum_i |P_i|^2 on the canvas, photons."""

    patches: Complex[Tensor, "*batch position row col"]
    """Windows of the object."""

    on_detector: Complex[Tensor, "*batch position mode row col"]
    """Waves on the detector before the measured modulus replaced theirs."""

    change: Complex[Tensor, "*batch position mode row col"]
    """psi' - psi behind the sample."""


def back_project(
    obj: Complex[Tensor, "*batch height width"],
    corners: Int[Tensor, "*batch position 2"],
    probe: Complex[Tensor, "*batch position mode row col"],
    amplitude: Float[Tensor, "*batch position row col"],
    *,
    left_out: Bool[Tensor, "... row col"] | None = None,
    background: Float[Tensor, "row col"] | None = None,
    light: Float[Tensor, "*batch height width"] | None = None,
) -> BackProjection:
    """Ask frames how an object should change: replace the modulus, transform back, add up.

        psi_i = P_i o;  psi'_i = F^-1 [ sqrt(n_i) F psi_i / |F psi_i| ]

    The step is minus the gradient of sum (|F psi| - sqrt n)^2 with respect to conj(o).

    Args:
        obj: transmission on a canvas, one or several.
        corners: first (row, col) of each window on the canvas.
        probe: the probe shifted to each position.
        amplitude: measured sqrt(photons) per detector pixel.
        left_out: pixels that keep the modulus of the model, as bad ones or those that judge.
        background: photons per pixel from elsewhere than the sample.
        light: that of these probes on the canvas, where it is known from an earlier call.

    Source:
        Maiden, Johnson & Li, Optica 4, 736 (2017); as a gradient: Candes, Li & Soltanolkotabi,
        IEEE Trans. Inf. Theory 61, 1985 (2015); several modes: Thibault & Menzel, Nature 494, 68
        (2013).
    """
    patches = cut_patches(obj, corners, probe.shape[-1])
    waves = exit_waves(patches, probe)
    on_detector = to_detector(waves)
    change = to_sample(replace_modulus(on_detector, amplitude, left_out, background)) - waves
    shape = (obj.shape[-2], obj.shape[-1])
    if light is None:
        light = place_patches(probe_intensity(probe), corners, shape)
    step = place_patches((probe.conj() * change).sum(dim=-3), corners, shape)
    return BackProjection(step, light, patches, on_detector, change)


def pull_of(
    step: Complex[Tensor, "*batch height width"],
    light: Float[Tensor, "*batch height width"],
    *,
    damping: float,
) -> Complex[Tensor, "*batch height width"]:
    """Return a step in units of the object: step / (light + damping max light).

    With one frame it is rPIE's denominator (1 - a) |P|^2 + a max|P|^2, a = damping / (1 + damping),
    times 1 + damping; with many and little damping it is the mean of what they ask for.

    Args:
        step: from `back_project`, or the sum of several.
        light: likewise.
        damping: regularisation relative to the brightest pixel.

    Source:
        Maiden, Johnson & Li, Optica 4, 736 (2017).
    """
    return step / (light + damping * light.amax(dim=(-2, -1), keepdim=True))
