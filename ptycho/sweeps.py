"""Sweeps: a stitched object improved by all frames of the scan at once, until that stops helping.

Way of the data: patches -> object -> [sweeps] -> object. Plain PyTorch.
A network corrects a group by what it has learned; a sweep corrects the whole object by the
measurement alone, batch after batch of frames, starting where the network ended. Noise is what
ends it: a few pixels of every frame take no part in the correction, and as soon as the object stops
predicting them better it has begun to learn the noise of the others.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ptycho.dataset import GroupBatch, GroupDataset
from ptycho.losses import poisson_loss
from ptycho.physics.forward import exit_waves, replace_modulus
from ptycho.physics.patches import Canvas, cut_patches, place_patches, window_corners
from ptycho.physics.probe import probe_intensity, shift_probe, unshift_to_probe
from ptycho.physics.propagation import to_detector, to_sample

HELD_OUT = 0.05
"""Share of the detector pixels kept for judging."""

MOST_SWEEPS = 40
_PATIENCE = 2  # sweeps without a better prediction before the end
_GAIN = 2e-3  # smallest relative fall of the free residual that counts as better
_MASKS = 64  # different patterns of held-out pixels; frames take them in turn
_DAMPING = 0.1


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
    track: Callable[[Iterable[int], int], Iterable[int]],
) -> Swept:
    """Correct an object by sweeps over all frames.

    For a batch of frames b, with psi_i = P_i o and psi'_i of measured modulus:

        o <- o + sum_b conj(P_i) (psi'_i - psi_i) / (sum_b |P_i|^2 + damping max sum_b |P_i|^2)

    The damping grows from sweep to sweep: long steps at first, then an average over many frames
    that keeps their noise out. A refined probe follows from the second sweep on by the same formula
    with the parts exchanged, and keeps its power.

    Args:
        obj: where to start from, transmission on the canvas.
        canvas: where it lies; holds the windows of all frames.
        probe: modes in sqrt(photons) per object pixel.
        dataset: frames, as groups of one.
        sweeps: how many; None ends by the free residual.
        batch_size: frames corrected together.
        seed: of the order of the frames and of the pixels held out.
        refine_probe: whether to correct the probe too.
        device: where to compute; results come back to the CPU.
        track: wraps the numbers of the sweeps, given the most there can be, to show progress.

    Source:
        The step is rPIE's (Maiden, Johnson & Li, Optica 4, 736 (2017)) for many frames at once;
        judging by data left out: Brunger, Nature 355, 472 (1992).
    """
    generator = torch.Generator().manual_seed(seed)
    masks = held_out_masks(probe.shape[-1], generator).to(device)
    obj, probe = obj.to(device), probe.to(device)
    best = Swept(obj, probe, [], 0)
    history: list[float] = []
    most = MOST_SWEEPS if sweeps is None else sweeps
    for number in track(range(1, most + 1), most):
        damping = _DAMPING * (1 + (number - 1) / 4)
        misfit = photons = 0.0
        for batch in _shuffled(dataset, batch_size, generator):
            held_out = masks[batch.members.flatten() % _MASKS]
            here = _Frames.of(batch.to(device), dataset, canvas)
            obj, probe, expected = _correct(
                obj, probe, here, held_out, damping, refine_probe and number > 1
            )
            amplitude = here.amplitude[held_out][None]
            counted = float(amplitude.square().sum())
            misfit += counted * float(poisson_loss(expected[held_out][None], amplitude))
            photons += counted
        history.append(misfit / max(photons, 1.0))
        if (
            sweeps is not None
            or not best.free_residual
            or better(history[-1], best.free_residual[-1])
        ):
            best = Swept(obj, probe, list(history), number)
        elif number - best.kept >= _PATIENCE:
            break
    return Swept(best.obj.cpu(), best.probe.cpu(), history, best.kept)


class _Frames(NamedTuple):
    """A batch of single frames, placed on the canvas of the whole scan."""

    amplitude: Float[Tensor, "frame row col"]
    corners: Tensor
    fractions: Float[Tensor, "frame 2"]

    @classmethod
    def of(cls, batch: GroupBatch, dataset: GroupDataset, canvas: Canvas) -> "_Frames":
        frames = batch.members.flatten()
        positions = torch.from_numpy(dataset.raw.positions[frames.cpu().numpy()])
        corners, fractions = window_corners(positions, batch.amplitude.shape[-1])
        corners = corners - torch.tensor(canvas.origin)
        where = batch.amplitude.device
        return cls(batch.amplitude.flatten(0, 1), corners.to(where), fractions.to(where))


def _correct(
    obj: Complex[Tensor, "height width"],
    probe: Complex[Tensor, "mode row col"],
    frames: _Frames,
    held_out: Bool[Tensor, "frame row col"],
    damping: float,
    refine_probe: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return object and probe after one batch, and the frames expected before it."""
    corners, shape = frames.corners, obj.shape
    shifted = shift_probe(probe, frames.fractions)
    patches = cut_patches(obj, corners, probe.shape[-1])
    waves = exit_waves(patches, shifted)
    on_detector = to_detector(waves)
    change = to_sample(replace_modulus(on_detector, frames.amplitude, held_out)) - waves
    light = place_patches(probe_intensity(shifted), corners, shape)
    step = place_patches((shifted.conj() * change).sum(dim=-3), corners, shape)
    corrected = obj + step / (light + damping * light.max())
    if refine_probe:
        seen = patches.abs().square().sum(dim=0)
        back = unshift_to_probe(patches.conj().unsqueeze(-3) * change, frames.fractions)
        moved = probe + back / (damping * seen + (1 - damping) * seen.max()).clamp_min(1e-12)
        power = probe_intensity(probe).sum() / probe_intensity(moved).sum()
        probe = moved * power.sqrt()
    return corrected, probe, probe_intensity(on_detector)


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


def better(value: float, best: float) -> bool:
    """Return whether a free residual is so far below the best that more than chance did it."""
    return value < (1 - _GAIN) * best
