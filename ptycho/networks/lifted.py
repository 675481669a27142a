"""The default network: unrolled iterations of the physics, then learned update steps.

Data flow: batches -> [network] + physics -> trained model.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ptycho.networks.group_updates import GroupUpdater, group_updater
from ptycho.networks.learned_step import LearnedStep
from ptycho.networks.network import Network
from ptycho.physics.patches import cut_patches
from ptycho.scan.dataset import GroupBatch

_MOMENTUM = 0.8


class LiftedUNet(Network):
    """An unrolled update network: iterations of the physics from empty space, then learned steps.

    All members of a group share one canvas, so they agree on their overlap by construction. The
    input of a learned step is the update that all frames of the group give; its weights are the
    same in every step and for every group size, so the same step serves a whole scan.

    Args:
        group_size: members of one group; any, kept for the common call.
        width: features of the learned step. Trained on one scan for the same time, 32 is no better.
        sweeps: physical iterations before the first learned step; five make a group consistent.
        steps: learned steps. Trained on one scan for the same time, two are no better.
    """

    any_gridsize = True
    any_frame_size = True
    whole_scan = True
    merged = True  # patches come from one canvas
    option_minima: ClassVar[Mapping[str, int]] = {"sweeps": 0, "steps": 0}

    def __init__(self, group_size: int, width: int = 16, sweeps: int = 5, steps: int = 1) -> None:
        super().__init__()
        self.sweeps = sweeps
        self.steps = steps
        self.step = LearnedStep(width)

    def forward(
        self,
        batch: GroupBatch,
        probe: Complex[Tensor, "group member mode row col"],
        weight: Float[Tensor, "row col"],
    ) -> Complex[Tensor, "group member row col"]:
        """Return complex patches, one per member.

        Args:
            batch: measured frames and their windows.
            probe: the probe shifted to each position, sqrt(photons) per object pixel.
            weight: merge weight of each window pixel; not needed by this network.
        """
        frames = batch.forward, batch.corners, batch.measured, probe
        with group_updater(*frames) as updater:
            canvas = sweep_group(updater, batch, self.sweeps)
            for _ in range(self.steps):
                canvas = self.step(canvas, *updater.step(canvas))
        return cut_patches(canvas, batch.corners, batch.amplitude.shape[-1])


@torch.no_grad()
def sweep_group(
    updater: GroupUpdater,
    batch: GroupBatch,
    sweeps: int,
    *,
    parts: int = 4,
    damping: float = 0.1,
    growth: float = 0.25,
) -> Complex[Tensor, "group height width"]:
    """Reconstruct each group's object by iterations of the physics alone, from empty space.

    Args:
        updater: of the objects by their frames.
        batch: the frames and their windows.
        sweeps: iterations; each uses every member once.
        parts: lots the members are used in, one after the other.
        damping: of the first iteration, relative to the brightest illumination.
        growth: of the damping per iteration, relative to the first.
    """
    n_groups, n_members = batch.members.shape
    dtype, device = batch.amplitude.dtype.to_complex(), batch.amplitude.device
    canvas = torch.ones((n_groups, *batch.shape), dtype=dtype, device=device)
    before = canvas
    lots = [slice(first, None, parts) for first in range(min(parts, n_members))]
    for number in range(sweeps):
        ahead = canvas + _MOMENTUM * (canvas - before)
        before = canvas
        for lot in lots:
            ahead = updater.updated(ahead, lot, damping=damping * (1 + number * growth))
        canvas = ahead
    return canvas
