"""What a network provides to the model, the commands and the engines.

Data flow: batches -> [network] + physics -> trained model.
"""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

from jaxtyping import Complex, Float
from torch import Tensor, nn

from ptycho.scan.dataset import GroupBatch


class Network(nn.Module, abc.ABC):
    """Base of all networks: a module that maps a batch to patches, and what it can be used for.

    A class is built as cls(group_size=..., **options); its options are whole numbers, which are
    saved with the model. The defaults below suit a plain network with a fixed number of channels.
    """

    any_gridsize: ClassVar[bool] = False
    """Whether a network trained on groups of one size serves groups of any other."""

    any_frame_size: ClassVar[bool] = False
    """Whether a network trained on frames of one size serves frames of any other."""

    whole_scan: ClassVar[bool] = False
    """Whether the network also reconstructs a whole scan as one group; it then has the attributes
    `sweeps`, `steps` and `step`."""

    sweeps: int
    """Iterations of the physics before the first learned step."""

    steps: int
    """Learned steps, one after the other."""

    step: nn.Module
    """The learned step: (object, update, illumination), each (object, height, width), to the
    corrected object."""

    merged: ClassVar[bool] = False
    """Whether the patches of a group agree on their overlap; else the model merges them."""

    option_minima: ClassVar[Mapping[str, int]] = {}
    """Smallest value of each option; 1 if not given."""

    window: int | None = None
    """Side of the decoded centre of each patch, object pixels; the patch is arbitrary outside. None
    lets the model choose it from the probe."""

    @classmethod
    def default_options(cls, window: int) -> dict[str, Any]:
        """Return the options that depend on the scan.

        Args:
            window: side of the centre of a patch that holds most of the probe's energy, pixels.
        """
        return {}

    @abc.abstractmethod
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
            weight: weight of each window pixel in a merge, from its illumination.
        """
