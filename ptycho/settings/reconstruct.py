"""The settings of a reconstruction."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ptycho.engines import ENGINES
from ptycho.errors import ConfigError
from ptycho.grouping import SAMPLERS
from ptycho.settings.base import also
from ptycho.settings.bounds import at_least
from ptycho.settings.shared import (
    ComputeSettings,
    ConsoleSettings,
    DryRunSettings,
    FrameSizeSettings,
    PageSettings,
    ProgressSettings,
    RefinementSettings,
    SelectionSettings,
    StrictSettings,
    VerdictSettings,
)


@dataclass(frozen=True, kw_only=True)
class ReconstructSettings(
    RefinementSettings, SelectionSettings, ComputeSettings, VerdictSettings, ProgressSettings
):
    """How the object of a scan is reconstructed."""

    kind: ClassVar[str] = "reconstruct"

    gridsize: int | None = None
    """Frames per side of a group; none takes that of the model. A lifted model takes any."""

    sampling: str = also(
        "balanced", choices=SAMPLERS, switches={"sequential_sampling": "sequential"}
    )
    """How groups are sampled: {choices}. Single frames are always the first ones."""

    engine: str = also("auto", choices=ENGINES)
    """What corrects the object of the whole scan: {choices}."""

    quality: Literal["fast", "balanced", "best"] = "balanced"
    """What the engine auto may take its time for: fast leaves it at the iterations and the steps of
    the network; balanced finds the most probable object, which takes about as long again; best does
    so for larger objects, too, and tries more starts where the overlap is thin."""

    sweeps: int | None = also(None, aliases=["iterations", "epochs"])
    """Iterations over all frames, beyond the few of a lifted network itself. 0 returns the object
    of the network; none, or auto, goes on while held-out pixels are predicted better."""

    batch_size: int | None = None
    """Samples computed at a time; none chooses by size."""

    n_modes: int | None = None
    """Incoherent modes of the probe; modes beyond those of the file start weak and orthogonal, and
    are refined with the object. None takes the number of the file."""

    use_model_probe: bool = False
    """Start from the probe saved with the model. A probe refined in training is used anyway if the
    scan holds the probe from which that training started."""

    calibrate: Literal["off", "auto", "full"] = "auto"
    """Find from a part of the frames how the scan is to be read, and what is to be refined: auto
    where the probe is missing or a short trial does not explain the frames, full always."""

    calibration: Path | None = also(None, must_exist="calibration")
    """Read the scan by this file of `ptycho calibrate`, such as that of an earlier scan of the same
    setup; nothing is calibrated then."""

    uncertainty: int | None = also(None, aliases=["trust"])
    """Estimate the uncertainty of each pixel without a ground truth, from this number of samples
    of its posterior probability (8 suffice) and from two halves of the positions. Takes two to four
    times as long as the reconstruction."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "sweeps")
        at_least(self, 1, "batch_size", "n_modes")
        at_least(self, 2, "uncertainty")
        if (self.n_modes or 1) > 1 and not self.refine_probe:
            raise ConfigError("n_modes: without --refine_probe; expected it, to find the modes")


@dataclass(frozen=True, kw_only=True)
class InferenceConfig(
    ReconstructSettings,
    FrameSizeSettings,
    PageSettings,
    StrictSettings,
    DryRunSettings,
    ConsoleSettings,
):
    """Reconstruct the object of a scan."""

    model_path: Path | None = also(None, must_exist="trained model")
    """Output folder of a training; none takes the general model that comes with the package."""

    test_data: Path = also(must_exist="scan")
    """The scan to reconstruct."""

    output_dir: Path = also()
    """Folder of the object, its pictures and its metrics."""

    scan: int | None = None
    """Scan to take from a file that holds several (its scan_index); each has its own object."""

    comparison_plot: bool = False
    """Write a figure of object and ground truth, if the scan file holds one."""
