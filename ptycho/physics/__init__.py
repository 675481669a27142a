"""The experiment as equations: propagation, windows of the object, the probe, the forward model.

Data flow: file -> RawData -> groups -> batches -> network + [physics] -> ... -> report.
Knows tensors and pixels only: no files, no scans, no networks.

The whole measurement in one line:
    intensity = detector_intensity(exit_waves(cut_patches(obj, corners, size), probe))
"""

from typing import TYPE_CHECKING

from ptycho.tables import Row, Table

if TYPE_CHECKING:
    from ptycho.physics.losses import Loss

LOSSES: "Table[Loss]" = Table(
    "loss",
    {
        "amplitude": Row(
            "ptycho.physics.losses:amplitude_loss", "squared difference of the amplitudes"
        ),
        "poisson": Row(
            "ptycho.physics.losses:poisson_loss", "Poisson likelihood of the photon counts"
        ),
    },
)
"""Losses by name; importing the table does not import torch."""
