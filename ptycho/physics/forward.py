"""The one forward model: a measurement as interaction, propagation and detector.

Data flow: batches -> network + [physics] -> trained model.
Knows patches, probes and frames as tensors; nothing of scans or networks. Simulation, training,
engines, residuals and resampling all use it, so a new part of the physics is written once:

    I = detector(propagator(interaction(patch, probe)))
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptycho.experiment import Experiment
from ptycho.physics import INTERACTIONS, PROPAGATORS
from ptycho.physics.detector import Detector, Measured, detector_of
from ptycho.physics.interaction import Interaction, ThinSample
from ptycho.physics.patches import cut_patches, place_patches
from ptycho.physics.propagation import FarField, Propagator


@dataclass(frozen=True)
class ForwardModel:
    """Expected photons of a frame from the object in its window and the probe at its position."""

    interaction: Interaction = field(default_factory=ThinSample)
    propagator: Propagator = field(default_factory=FarField)
    detector: Detector = field(default_factory=Detector)

    @property
    def plain(self) -> bool:
        """Whether a frame is the Fourier transform of object times probe, and nothing else."""
        return (
            type(self.interaction) is ThinSample
            and type(self.propagator) is FarField
            and type(self.detector) is Detector
        )

    def waves(
        self,
        patches: Complex[Tensor, "*batch row col"],
        probe: Complex[Tensor, "*#batch mode row col"],
    ) -> Complex[Tensor, "*batch mode row col"]:
        """Return the fields on the detector, sqrt(photons) per detector pixel.

        Args:
            patches: object transmission in the window of each frame.
            probe: the probe, or one shifted probe per frame, sqrt(photons) per object pixel.
        """
        return self.propagator.to_detector(self.interaction.exit_waves(patches, probe))

    def intensity(
        self,
        patches: Complex[Tensor, "*batch row col"],
        probe: Complex[Tensor, "*#batch mode row col"],
    ) -> Float[Tensor, "*batch row col"]:
        """Return expected photons per detector pixel, background excluded; arguments as `waves`."""
        return self.detector.intensity(self.waves(patches, probe))

    def back_project(
        self,
        obj: Complex[Tensor, "*batch height width"],
        corners: Int[Tensor, "*batch position 2"],
        probe: Complex[Tensor, "*batch position mode row col"],
        measured: Measured,
        *,
        illumination: Float[Tensor, "*batch height width"] | None = None,
    ) -> "BackProjection":
        """Accumulate the modulus-projection update of a batch on the object's canvas.

            psi_i = P_i o;  psi'_i = F^-1 [ sqrt(n_i) F psi_i / |F psi_i| ]

        The step is minus the gradient of sum (|F psi| - sqrt n)^2 with respect to conj(o).

        Args:
            obj: transmission on a canvas, one or several.
            corners: first (row, col) of each window on the canvas.
            probe: the probe shifted to each position.
            measured: the frames.
            illumination: of these probes on the canvas, where it is known from an earlier call.

        Source:
            Maiden, Johnson & Li, Optica 4, 736 (2017); as a gradient: Candes, Li & Soltanolkotabi,
            IEEE Trans. Inf. Theory 61, 1985 (2015); several modes: Thibault & Menzel, Nature 494,
            68 (2013).
        """
        patches = cut_patches(obj, corners, probe.shape[-1])
        waves = self.interaction.exit_waves(patches, probe)
        on_detector = self.propagator.to_detector(waves)
        corrected = self.detector.corrected(on_detector, measured)
        change = self.propagator.to_sample(corrected) - waves
        shape = (obj.shape[-2], obj.shape[-1])
        if illumination is None:
            weight = self.interaction.patch_weight(probe)
            illumination = place_patches(weight, corners, shape)
        step = self.interaction.patch_step(patches, probe, change)
        return BackProjection(
            place_patches(step, corners, shape), illumination, patches, on_detector, change
        )

    def to(self, device: torch.device | str) -> "ForwardModel":
        """Return the same on a device."""
        return ForwardModel(self.interaction, self.propagator.to(device), self.detector.to(device))


class BackProjection(NamedTuple):
    """The update that frames give to an object, and its intermediate results."""

    step: Complex[Tensor, "*batch height width"]
    """sum_i conj(P_i) (psi'_i - psi_i) on the object's canvas, photons."""

    illumination: Float[Tensor, "*batch height width"]
    """sum_i |P_i|^2 on the canvas, photons."""

    patches: Complex[Tensor, "*batch position row col"]
    """Windows of the object."""

    on_detector: Complex[Tensor, "*batch position mode row col"]
    """Waves on the detector before the correction."""

    change: Complex[Tensor, "*batch position mode row col"]
    """psi' - psi behind the sample."""


def forward_model(experiment: Experiment, size: int) -> ForwardModel:
    """Return the forward model of an experiment.

    Args:
        experiment: its parts by name, and their numbers.
        size: N, pixels per side of a frame.

    Raises:
        ConfigError: If a part is unknown, or does not suit frames of this size.
    """
    return ForwardModel(
        INTERACTIONS.find(experiment.interaction)(experiment),
        PROPAGATORS.find(experiment.propagation)(experiment, size),
        detector_of(experiment, size),
    )


def update_step(
    step: Complex[Tensor, "*batch height width"],
    illumination: Float[Tensor, "*batch height width"],
    *,
    damping: float,
) -> Complex[Tensor, "*batch height width"]:
    """Return a step in units of the object: step / (illumination + damping max illumination).

    With one frame it is rPIE's denominator (1 - a) |P|^2 + a max|P|^2, a = damping / (1 + damping),
    times 1 + damping; with many and little damping it is the mean of their updates.

    Args:
        step: from `back_project`, or the sum of several.
        illumination: likewise.
        damping: regularisation relative to the brightest pixel.

    Source:
        Maiden, Johnson & Li, Optica 4, 736 (2017).
    """
    return step / (illumination + damping * illumination.amax(dim=(-2, -1), keepdim=True))
