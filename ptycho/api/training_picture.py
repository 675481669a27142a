"""The object during a training, epoch by epoch.

Data flow: [groups -> batches -> network -> patches -> object] -> logs.
"""

from collections.abc import Callable

import torch

from ptycho.api.components import Members
from ptycho.engines.grouped import stitched_groups
from ptycho.learning.model import PtychoModel
from ptycho.learning.plan import Picture
from ptycho.physics.patches import canvas_of
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.spread import spread

_MOST_FRAMES = 1024
"""Frames that a picture is made from: seconds on one core."""


def picture_of(
    raw: RawData, groups: Members, device: torch.device, batch_size: int | None = None
) -> Callable[[PtychoModel], Picture]:
    """Return a function that makes a picture of the scan with a model, the same groups each time.

    Args:
        raw: the scan.
        groups: of training and validation; of many, some evenly spread over them.
        device: where to compute.
        batch_size: groups at a time; None chooses by size.
    """
    chosen = spread(len(groups), max(1, _MOST_FRAMES // groups.shape[1]))
    some = GroupDataset(raw, groups[chosen])
    canvas = canvas_of(torch.from_numpy(raw.positions), raw.frame_size)

    def picture(model: PtychoModel) -> Picture:
        found = stitched_groups(model, some, canvas, batch_size=batch_size, device=device)
        return Picture(found.obj.numpy(), found.coverage.numpy(), canvas.origin)

    return picture
