"""Learned sweeps: the trained step on the object of a whole scan, as long as that helps.

Way of the data: patches -> object -> [sweeps] -> object. Plain PyTorch.
To the learned step a scan is one more group, only larger: all frames are asked at once what they
want of the object, and the step answers. Pixels held out of the asking judge, the same as in
`ptycho.engines.sweeps`, so both kinds of sweep compete for the same number.
"""

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ptycho.engines.nuisances import Nuisances
from ptycho.engines.sweeps import FreeResidual, PlacedFrames, Swept, held_out_masks
from ptycho.networks.learned_step import LearnedStep
from ptycho.physics.forward import back_project
from ptycho.physics.patches import Canvas
from ptycho.physics.probe import probe_intensity, shift_probe
from ptycho.progress import Track
from ptycho.scan.dataset import GroupDataset

MOST_LEARNED = 2


@torch.inference_mode()
def learned_sweeps(
    start: Swept,
    canvas: Canvas,
    dataset: GroupDataset,
    step: LearnedStep,
    *,
    sweeps: int | None,
    batch_size: int,
    seed: int,
    device: torch.device,
    track: Track,
) -> Swept:
    """Correct an object by the learned step, and return the best met, the start included.

    Args:
        start: object and all beside it, from stitching or from `ptycho.engines.sweeps.sweep_scan`.
        canvas: where it lies; holds the windows of all frames.
        dataset: frames, as groups of one.
        step: trained.
        sweeps: how many, the last of which is returned; None ends by the free residual.
        batch_size: frames computed at a time; of no influence on the result.
        seed: of the pixels held out; that of the sweeps before.
        device: where to compute; results come back to the CPU.
        track: wraps the numbers of the sweeps, given the most there can be, to show progress.

    Returns:
        The best object. Its free residuals go on where those of the start end.
    """
    masks = held_out_masks(dataset.raw.frame_size, torch.Generator().manual_seed(seed)).to(device)
    step = step.to(device).eval()
    beside, obj = start.beside.to(device), start.obj.to(device)
    history, best, kept, least = list(start.free_residual), obj, start.kept, float("inf")
    most = MOST_LEARNED if sweeps is None else sweeps
    for number in track(range(most + 1), most + 1):
        asked, light, misfit = _ask(obj, beside, canvas, dataset, masks, batch_size)
        history += [misfit.value] if number else []
        if sweeps is None and not misfit.as_good_as(least):
            break
        best, least, kept = obj, min(least, misfit.value), start.kept + number
        if number < most:
            obj = step(obj[None], asked[None], light[None])[0]
    return Swept(best.cpu(), start.probe, history, kept, start.beside)


def _ask(
    obj: Complex[Tensor, "height width"],
    beside: Nuisances,
    canvas: Canvas,
    dataset: GroupDataset,
    masks: Bool[Tensor, "mask row col"],
    batch_size: int,
) -> tuple[Complex[Tensor, "height width"], Float[Tensor, "height width"], FreeResidual]:
    """Return what all frames ask of an object, the light on it, and its free residual."""
    asked, light = torch.zeros_like(obj), torch.zeros_like(obj.real)
    misfit = FreeResidual()
    for batch in dataset.batches(batch_size):
        frames = PlacedFrames.of(batch.to(obj.device), beside.positions, canvas, masks)
        probe = beside.brightened(shift_probe(beside.probe, frames.fractions), frames.members)
        found = back_project(
            obj, frames.corners, probe, frames.amplitude, left_out=frames.left_out,
            background=beside.background,
        )  # fmt: skip
        asked += found.step
        light += found.light
        misfit.add(beside.with_background(probe_intensity(found.on_detector)), frames)
    return asked, light, misfit
