"""From the exit wave behind the sample to the detector and back (far field).

Way of the data: batches -> network + [physics] -> trained model.
Knows one transform, unitary and centred: pixel N//2 is the optical axis on both sides.
"""

import torch
from jaxtyping import Complex
from torch import Tensor


def to_detector(exit_wave: Complex[Tensor, "*batch row col"]) -> Complex[Tensor, "*batch row col"]:
    """Propagate to the far field: a unitary FFT with the zero frequency at N//2.

    Unitary means that energy is kept: sum |wave|^2 before and after agree (Parseval), so photons
    per frame are counted alike on both sides.

    Args:
        exit_wave: field behind the sample, sqrt(photons) per object pixel.

    Returns:
        Field on the detector, sqrt(photons) per detector pixel, same shape.

    Source:
        Fraunhofer diffraction, e.g. Goodman, Introduction to Fourier Optics, section 4.3.
    """
    wave = torch.fft.ifftshift(exit_wave, dim=(-2, -1))
    return torch.fft.fftshift(torch.fft.fft2(wave, norm="ortho"), dim=(-2, -1))


def to_sample(wave: Complex[Tensor, "*batch row col"]) -> Complex[Tensor, "*batch row col"]:
    """Propagate back from the detector: inverse and adjoint of `to_detector`.

    Args:
        wave: field on the detector, sqrt(photons) per detector pixel.

    Returns:
        Field behind the sample, sqrt(photons) per object pixel, same shape.
    """
    back = torch.fft.ifft2(torch.fft.ifftshift(wave, dim=(-2, -1)), norm="ortho")
    return torch.fft.fftshift(back, dim=(-2, -1))
