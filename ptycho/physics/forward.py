"""The measurement and its adjoint step: exit waves, intensities, back-projection.

Way of the data: batches -> network + [physics] -> trained model.
Knows patches, probes and frames as tensors; nothing of scans or networks.
"""

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

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
    held_out: Bool[Tensor, "*#batch row col"] | None = None,
    background: Float[Tensor, "row col"] | None = None,
) -> Complex[Tensor, "*batch mode row col"]:
    """Give detector waves the measured modulus; their phases and the shares of the modes stay.

    Args:
        on_detector: waves on the detector, sqrt(photons) per pixel.
        amplitude: measured sqrt(photons) per pixel.
        held_out: pixels left as they are, as dead ones or those kept for judging.
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
    if held_out is not None:
        ratio = torch.where(held_out, torch.ones_like(ratio), ratio)
    return on_detector * ratio.unsqueeze(-3)


def back_project(
    patches: Complex[Tensor, "*batch row col"],
    probe: Complex[Tensor, "*#batch mode row col"],
    amplitude: Float[Tensor, "*batch row col"],
    damping: float = 0.1,
    *,
    mask: Bool[Tensor, "row col"] | None = None,
    background: Float[Tensor, "row col"] | None = None,
) -> Complex[Tensor, "*batch row col"]:
    """Correct patches once by their measured frames: replace the modulus, transform back, update.

        psi = P o;  psi' = F^-1 [ sqrt(n) F psi / |F psi| ];
        o' = o + sum_modes conj(P) (psi' - psi) / (|P|^2 + damping max|P|^2)

    Outside the probe the patch stays as it was.

    Args:
        patches: estimate of the object in each window.
        probe: the probe, or one shifted probe per frame.
        amplitude: measured sqrt(photons) per detector pixel.
        damping: regularisation alpha relative to the brightest probe pixel.
        mask: True on good pixels; bad ones keep the modulus of the model. None when all are good.
        background: photons per pixel from elsewhere than the sample.

    Returns:
        The corrected patches.

    Source:
        The family of regularised updates of Maiden, Johnson & Li, Optica 4, 736 (2017): rPIE's
        denominator (1 - a) |P|^2 + a max|P|^2 with a = damping / (1 + damping), times 1 + damping;
        several modes: Thibault & Menzel, Nature 494, 68 (2013).
    """
    waves = exit_waves(patches, probe)
    left_out = None if mask is None else ~mask
    corrected = to_sample(replace_modulus(to_detector(waves), amplitude, left_out, background))
    light = probe_intensity(probe)
    ceiling = light.amax(dim=(-2, -1), keepdim=True)
    step = (probe.conj() * (corrected - waves)).sum(dim=-3)
    return patches + step / (light + damping * ceiling)
