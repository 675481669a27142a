"""The default network: frames are lifted into real space by physics, then corrected by learning.

Way of the data: batches -> [network] + physics -> trained model.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ptycho.networks.learned_step import LearnedStep
from ptycho.networks.network import Network
from ptycho.physics.forward import BackProjection, back_project, pull_of
from ptycho.physics.patches import cut_patches
from ptycho.scan.dataset import GroupBatch

_MOMENTUM = 0.8


class LiftedUNet(Network):
    """A group's little object, swept by physics from empty space, then corrected by learning.

    All members share one canvas, so they agree on their overlap by construction. Each learned step
    looks at what all frames of the group pull the canvas towards; its weights are the same in
    every step and know no group, so that the same step also serves a whole scan.

    Args:
        group_size: members of one group; any, kept for the common call.
        width: features of the learned step. Trained on one scan for as long, 32 is no better.
        sweeps: physical ones before the first learned step; five settle the overlap of a group.
        steps: learned ones. Trained on one scan for as long, two are no better.
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
        light = None
        for _ in range(self.steps):
            with torch.no_grad():
                found = back_project_group(canvas, batch, probe, light=light)
            light = found.light
            canvas = self.step(canvas, found.step, light)
        return cut_patches(canvas, batch.corners, batch.amplitude.shape[-1])


def back_project_group(
    canvas: Complex[Tensor, "group height width"],
    batch: GroupBatch,
    probe: Complex[Tensor, "group member mode row col"],
    part: slice = slice(None),
    light: Float[Tensor, "group height width"] | None = None,
) -> BackProjection:
    """Ask the members of each group how its object should change.

    Args:
        canvas: object of each group.
        batch: measured frames and their windows.
        probe: the probe shifted to each position.
        part: members that are asked.
        light: theirs, where it is known from an earlier call.
    """
    return back_project(
        canvas, batch.corners[:, part], probe[:, part], batch.amplitude[:, part],
        left_out=batch.left_out, background=batch.background, light=light,
    )  # fmt: skip


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
    """Sweep each group's object by physics alone, from empty space.

    Args:
        batch: measured frames and their windows.
        probe: the probe shifted to each position.
        sweeps: how often every member is used.
        parts: lots the members are used in, each starting from what those before made.
        damping: of the first sweep, relative to the brightest light.
        growth: of the damping per sweep, relative to the first.
    """
    n_groups, n_members = batch.members.shape
    canvas = probe.new_ones((n_groups, *batch.shape))
    before = canvas
    lots = [slice(first, None, parts) for first in range(min(parts, n_members))]
    light = [None] * len(lots)
    for number in range(sweeps):
        ahead = canvas + _MOMENTUM * (canvas - before)
        before = canvas
        for i, lot in enumerate(lots):
            found = back_project_group(ahead, batch, probe, lot, light[i])
            light[i] = found.light
            ahead = ahead + pull_of(
                found.step, found.light, damping=damping * (1 + number * growth)
            )
        canvas = ahead
    return canvas
