"""An object as log-amplitude and phase, and back; filters of such pictures.

Data flow: object -> [two real pictures] -> object.
"""

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from scipy import ndimage
from skimage.restoration import unwrap_phase
from torch import Tensor

_DARKEST = 0.03  # amplitude relative to the mean; below, a logarithm and a phase say nothing
_SMOOTH = 1.5, 3.0, 6.0  # pixels, before a phase is unwrapped


def logarithms(
    obj: Complex[Tensor, "row col"], known: Bool[Tensor, "row col"]
) -> Float[Tensor, "2 row col"]:
    """Return log-amplitude and unwrapped phase of an object.

    Args:
        obj: on a canvas.
        known: where it is known; elsewhere the nearest known pixel is repeated.
    """
    values, mask = obj.cpu().numpy(), known.cpu().numpy()
    amplitude = np.abs(values)
    mean = float(amplitude[mask].mean())
    clear = mask & (amplitude > _DARKEST * mean)
    nearest = ndimage.distance_transform_edt(~clear, return_distances=False, return_indices=True)
    turned = (values * np.exp(-1j * np.angle(values[clear].sum())))[tuple(nearest)]
    phase = np.angle(turned)
    if np.ptp(phase) > np.pi:
        whole = _unwrapped(turned, clear)
        whole -= 2 * np.pi * np.round(np.median(whole[clear]) / (2 * np.pi))
        phase = whole + np.angle(turned * np.exp(-1j * whole))
    bounded = np.log(np.maximum(amplitude, _DARKEST * mean))
    outside = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    both = np.stack([bounded[tuple(outside)], phase]).astype(np.float32)
    return torch.from_numpy(both).to(obj.device)


def _unwrapped(
    obj: Complex[np.ndarray, "row col"], known: Bool[np.ndarray, "row col"]
) -> Float[np.ndarray, "row col"]:
    """Return the smooth part of a phase, unwrapped, as little smoothed as leaves no jumps.

    Noise has wraps of its own, which would lead astray the lines where others are taken back.
    """
    whole = np.zeros(obj.shape)
    for smooth in _SMOOTH:
        whole = unwrap_phase(np.angle(ndimage.gaussian_filter(obj, smooth)))
        jumps = [np.abs(np.diff(whole, axis=axis)) > np.pi for axis in (0, 1)]
        inside = (known[1:] & known[:-1], known[:, 1:] & known[:, :-1])
        if not any((jump & here).any() for jump, here in zip(jumps, inside, strict=True)):
            break
    return whole


def as_object(at: Float[Tensor, "2 row col"]) -> Complex[Tensor, "row col"]:
    """Return exp(a + i p) of log-amplitude a and phase p."""
    return torch.polar(at[0].exp(), at[1])


def filtered(
    pictures: Float[Tensor, "2 row col"], transfer: Float[Tensor, "2 row half"]
) -> Float[Tensor, "2 row col"]:
    """Return pictures, taken as periodic, times a transfer function of their frequencies.

    Args:
        pictures: on a canvas.
        transfer: on the half plane of `torch.fft.rfft2`.
    """
    shape = (pictures.shape[-2], pictures.shape[-1])
    return torch.fft.irfft2(torch.fft.rfft2(pictures) * transfer, s=shape)
