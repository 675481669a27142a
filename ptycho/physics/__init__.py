"""The experiment as equations: one forward model, composed of small parts.

Data flow: file -> RawData -> groups -> batches -> network + [physics] -> ... -> report.
Knows tensors and pixels only: no files, no scans, no networks.

The whole measurement in one line:
    intensity = detector(propagator(interaction(cut_patches(obj, corners, size), probe)))

Importing the tables does not import torch.
"""

from typing import TYPE_CHECKING

from ptycho.tables import Row, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from ptycho.experiment import Experiment
    from ptycho.physics.interaction import Interaction
    from ptycho.physics.losses import Loss
    from ptycho.physics.propagation import Propagator

INTERACTIONS: "Table[Callable[[Experiment], Interaction]]" = Table(
    "interaction",
    {"thin": Row("ptycho.physics.interaction:thin_sample", "probe times transmission")},
)
"""Interactions of probe and object by name: functions called with an experiment."""

PROPAGATORS: "Table[Callable[[Experiment, int], Propagator]]" = Table(
    "propagation",
    {
        "far": Row("ptycho.physics.propagation:far_field", "Fraunhofer diffraction"),
        "near": Row("ptycho.physics.propagation:near_field", "Fresnel diffraction"),
    },
)
"""Propagators by name: functions called with an experiment and the size of its frames."""

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
