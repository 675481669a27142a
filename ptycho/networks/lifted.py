"""The default network: unrolled iterations of the physics, then learned update steps.

Data flow: batches -> [network] + physics -> trained model.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ptycho.networks.learned_step import LearnedStep
from ptycho.networks.network import Network
from ptycho.physics.detector import Measured
from ptycho.physics.forward import BackProjection, update_step
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
        canvas = sweep_group(batch, probe, self.sweeps)
        illumination = None
        for _ in range(self.steps):
            with torch.no_grad():
                found = back_project_group(canvas, batch, probe, illumination=illumination)
            illumination = found.illumination
            canvas = self.step(canvas, found.step, illumination)
        return cut_patches(canvas, batch.corners, batch.amplitude.shape[-1])


def back_project_group(
    canvas: Complex[Tensor, "group height width"],
    batch: GroupBatch,
    probe: Complex[Tensor, "group member mode row col"],
    part: slice = slice(None),
    illumination: Float[Tensor, "group height width"] | None = None,
) -> BackProjection:
    """Accumulate the update of each group's object from its members.

    Args:
        canvas: object of each group.
        batch: measured frames and their windows.
        probe: the probe shifted to each position.
        part: members to use.
        illumination: of those members, where it is known from an earlier call.
    """
    amplitude, excluded, background, _ = batch.measured
    return batch.forward.back_project(
        canvas,
        batch.corners[:, part],
        probe[:, part],
        Measured(amplitude[:, part], excluded, background),
        illumination=illumination,
    )


@torch.no_grad()
def sweep_group(
    batch: GroupBatch,
    probe: Complex[Tensor, "group member mode row col"],
    sweeps: int,
    *,
    parts: int = 4,
    damping: float = 0.1,
    growth: float = 0.25,
) -> Complex[Tensor, "group height width"]:
    """Reconstruct each group's object by iterations of the physics alone, from empty space.

    Args:
        batch: measured frames and their windows.
        probe: the probe shifted to each position.
        sweeps: iterations; each uses every member once.
        parts: lots the members are used in, one after the other.
        damping: of the first iteration, relative to the brightest illumination.
        growth: of the damping per iteration, relative to the first.
    """
    n_groups, n_members = batch.members.shape
    canvas = probe.new_ones((n_groups, *batch.shape))
    before = canvas
    lots = [slice(first, None, parts) for first in range(min(parts, n_members))]
    illumination: list[Tensor | None] = [None] * len(lots)
    for number in range(sweeps):
        ahead = canvas + _MOMENTUM * (canvas - before)
        before = canvas
        for i, lot in enumerate(lots):
            found = back_project_group(ahead, batch, probe, lot, illumination[i])
            illumination[i] = found.illumination
            ahead = ahead + update_step(
                found.step, found.illumination, damping=damping * (1 + number * growth)
            )
        canvas = ahead
    return canvas
