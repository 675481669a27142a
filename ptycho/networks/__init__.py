"""Networks that turn the frames of a group into object patches: one table, name -> builder.

Way of the data: batches -> [network] + physics -> trained model.
Every network is called as `network(batch, probe, weight)` with a `GroupBatch`, the probe shifted to
each position (group, member, mode, row, col) and the merge weight (row, col); it returns complex
patches (group, member, row, col). It knows no files, losses or training.
"""

from collections.abc import Callable

from torch import nn

from ptycho.networks.classic import ClassicUNet
from ptycho.networks.lifted import LiftedUNet

NETWORKS: dict[str, Callable[..., nn.Module]] = {"lifted": LiftedUNet, "unet": ClassicUNet}
