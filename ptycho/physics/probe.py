"""The illumination: sub-pixel shifts, scale, size.

Data flow: batches -> network + [physics] -> trained model.
A probe is (mode, row, col), complex, sqrt(photons) per object pixel; modes are mutually incoherent.
"""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor


def shift_probe(
    probe: Complex[Tensor, "mode row col"], fractions: Float[Tensor, "*position 2"]
) -> Complex[Tensor, "*position mode row col"]:
    """Move the probe by a sub-pixel distance for every position (Fourier shift).

    Exact for a band-limited probe, and energy-conserving for any: the spectrum is multiplied by
    phases only, so the operator is unitary. It is periodic, so the probe has to be dim at its
    rim.

    Args:
        probe: modes at their reference position, centre at N//2.
        fractions: shift as (row, col) in object pixels, usually in [-0.5, 0.5).

    Returns:
        One shifted probe per position.

    Source:
        Fourier shift theorem.
    """
    return torch.fft.ifft2(torch.fft.fft2(probe) * _shift_ramp(probe, fractions))


def shift_each(
    waves: Complex[Tensor, "position *mode row col"], fractions: Float[Tensor, "position 2"]
) -> Complex[Tensor, "position *mode row col"]:
    """Move each wave by a distance of its own; see `shift_probe`.

    Args:
        waves: one for each position, or some modes of it.
        fractions: shift as (row, col) in object pixels.
    """
    ramp = _shift_ramp(waves, fractions)
    ramp = ramp if waves.ndim == 4 else ramp[:, 0]
    return torch.fft.ifft2(torch.fft.fft2(waves) * ramp)


def unshift_to_probe(
    waves: Complex[Tensor, "position mode row col"], fractions: Float[Tensor, "position 2"]
) -> Complex[Tensor, "mode row col"]:
    """Move waves back by their sub-pixel distances and add them up: the adjoint of `shift_probe`.

    Args:
        waves: one for each position.
        fractions: what `shift_probe` was given.
    """
    ramp = _shift_ramp(waves, fractions).conj()
    return torch.fft.ifft2((torch.fft.fft2(waves) * ramp).sum(dim=0))


def _shift_ramp(waves: Tensor, fractions: Tensor) -> Tensor:
    """Return the Fourier phases that move by (row, col), with an axis for the modes."""
    height, width = waves.shape[-2:]
    rows = torch.fft.fftfreq(height, device=waves.device, dtype=waves.real.dtype)
    cols = torch.fft.fftfreq(width, device=waves.device, dtype=waves.real.dtype)
    fractions = fractions.to(waves.real.dtype)
    row_ramp = torch.exp(-2j * math.pi * fractions[..., 0, None] * rows)
    col_ramp = torch.exp(-2j * math.pi * fractions[..., 1, None] * cols)
    return row_ramp[..., None, :, None] * col_ramp[..., None, None, :]


def scale_probe(
    probe: Complex[Tensor, "mode row col"], photons: float
) -> Complex[Tensor, "mode row col"]:
    """Scale all modes together so that sum |probe|^2 = photons.

    Args:
        probe: modes in any unit.
        photons: photons per frame through empty space.

    Returns:
        The probe in sqrt(photons) per object pixel.

    Raises:
        ValueError: If the probe is zero everywhere or photons is not positive.
    """
    power = probe_intensity(probe).sum()
    if not power > 0 or not photons > 0:
        raise ValueError(
            f"probe power {float(power):g}, photons {photons:g}; expected both above 0"
        )
    return probe * torch.sqrt(photons / power)


def probe_intensity(
    probe: Complex[Tensor, "*position mode row col"],
) -> Float[Tensor, "*position row col"]:
    """Return photons per object pixel, summed over the modes."""
    return (probe.real.square() + probe.imag.square()).sum(dim=-3)


def with_modes(
    probe: Complex[Tensor, "mode row col"], n_modes: int, share: float = 0.03
) -> Complex[Tensor, "all_modes row col"]:
    """Add weak orthogonal modes, as a start for less coherent illumination than the file states.

    The total power is unchanged. The modes are those of `orthogonal_additions`.

    Args:
        probe: modes, any unit, the strongest first.
        n_modes: number of modes to return.
        share: fraction of the power in each added mode.

    Raises:
        ValueError: If there are more modes already.
    """
    if n_modes < len(probe):
        raise ValueError(f"n_modes: {n_modes}; expected at least the {len(probe)} of the probe")
    if n_modes == len(probe):
        return probe
    added = orthogonal_additions(probe, n_modes - len(probe))
    kept, power = 1 - share * len(added), probe_intensity(probe).sum()
    return torch.cat([probe * math.sqrt(kept), added * (share * power).sqrt()])


def orthogonal_additions(
    probe: Complex[Tensor, "mode row col"], n_added: int
) -> Complex[Tensor, "added row col"]:
    """Return modes of power 1 that are orthogonal to those of a probe and to each other.

    The main mode times x, y, x^2, x y, y^2, ... about its centre, made orthogonal: what vibration
    and partial coherence add first.

    Args:
        probe: modes, any unit, the strongest first.
        n_added: number of modes to return.

    Source:
        Hermite-Gauss modes of partially coherent beams: Thibault & Menzel, Nature 494, 68 (2013).
    """
    main, size, wanted = probe_intensity(probe[:1]), probe.shape[-1], len(probe) + n_added
    axis = torch.arange(size, device=probe.device, dtype=main.dtype)
    middle = [(main.sum(dim=1 - d) * axis).sum() / main.sum() for d in (0, 1)]
    row, col = ((axis - centre) / size for centre in middle)
    # Orders (a, b) of row^a col^b by their sum; the first, (0, 0), is the main mode itself.
    orders = sorted(((a, b) for a in range(wanted) for b in range(wanted)), key=sum)[1:]
    shapes = [probe[0] * row[:, None] ** a * col**b for a, b in orders[: wanted + len(probe)]]
    basis, triangle = torch.linalg.qr(torch.stack([*probe, *shapes]).flatten(1).mT)
    signed = (basis * torch.sgn(triangle.diagonal().real)).mT
    return signed[len(probe) : wanted].unflatten(1, probe.shape[1:])


def orthogonal_modes(probe: Complex[Tensor, "mode row col"]) -> Complex[Tensor, "mode row col"]:
    """Return the same illumination in orthogonal modes, the strongest first.

    Incoherent modes are determined up to a unitary mixing, which changes no frame.

    Args:
        probe: modes, any unit.

    Source:
        Thibault & Menzel, Nature 494, 68 (2013): the eigenvectors of the mutual intensity.
    """
    if len(probe) == 1:
        return probe
    _, strength, modes = torch.linalg.svd(probe.flatten(1), full_matrices=False)
    return (strength[:, None] * modes).unflatten(1, probe.shape[1:])


def mode_shares(probe: Complex[Tensor, "mode row col"]) -> list[float]:
    """Return the share of the power in each mode."""
    power = probe.abs().square().sum(dim=(-2, -1))
    return (power / power.sum()).tolist()


def probe_likeness(
    one: Complex[Tensor, "mode row col"], other: Complex[Tensor, "mode2 row col"]
) -> float:
    """Return the similarity of the intensities of two probes: 1 for equal shapes at any scale.

    Args:
        one: modes, any unit.
        other: modes of the same size, any number of them.
    """
    first, second = (probe_intensity(probe).flatten() for probe in (one, other))
    return float(torch.nn.functional.cosine_similarity(first, second, dim=0))


def probe_fwhm(probe: Complex[Tensor, "mode row col"]) -> float:
    """Return the diameter of a disc with the area of the probe above half its maximum.

    The maximum is that of the 3 x 3 mean, so that one bright speckle does not dominate.

    Args:
        probe: modes, any unit.

    Returns:
        Diameter in object pixels.
    """
    intensity = probe_intensity(probe)[None, None]
    smooth = torch.nn.functional.avg_pool2d(intensity, 3, stride=1, padding=1)
    area = int((smooth >= 0.5 * smooth.max()).sum())
    return 2.0 * math.sqrt(area / math.pi)


def largest_pair_distance(diameter: float, min_overlap: float) -> float:
    """Return the distance at which two probes still overlap by a given share of their diameter.

    overlap = 1 - distance / diameter, so distance = (1 - overlap) diameter. The diameter is that of
    `probe_fwhm`; the overlap of the dimmer rim is not counted.

    Args:
        diameter: of the probe, object pixels.
        min_overlap: linear overlap, 0 (touching discs) to below 1.

    Raises:
        ValueError: If the overlap or the diameter is out of range.

    Source:
        Bunk et al., Ultramicroscopy 108, 481 (2008).
    """
    if not (0 <= min_overlap < 1 and diameter > 0):
        raise ValueError(
            f"min_overlap {min_overlap:g}, probe diameter {diameter:g}; expected 0 to below 1, "
            "and a diameter above 0"
        )
    return (1.0 - min_overlap) * diameter


def probe_window(probe: Complex[Tensor, "mode row col"], energy: float, multiple: int) -> int:
    """Return the side of the smallest centred square with a share of the probe's energy.

    Only the illuminated region can be reconstructed, so networks decode this window.

    Args:
        probe: modes, any unit, centre at N//2.
        energy: share of sum |probe|^2 the square must hold, below 1.
        multiple: the side is rounded up to a multiple of this.

    Returns:
        Side in object pixels, at most that of the probe's frame.
    """
    intensity = probe_intensity(probe)
    size = intensity.shape[-1]
    total = float(intensity.sum())
    for side in range(multiple, size, multiple):
        first = size // 2 - side // 2
        inside = intensity[first : first + side, first : first + side].sum()
        if float(inside) >= energy * total:
            return side
    return size
