"""Settings that several commands and functions share.

The docstring of a field is its `--help` text, its annotation the type of its flag; see
`ptycho.settings.base`. A class with a name in `Settings` holds values that a function takes as
keywords; the class of a command (`...Config`) adds files, folders and the console.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ptycho.errors import ConfigError
from ptycho.grouping import SAMPLERS
from ptycho.settings.base import Settings, also
from ptycho.settings.bounds import a_seed, above_zero, at_least

Measurement = Literal["counts", "intensity", "amplitude"]
Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True, kw_only=True)
class ProgressSettings(Settings):
    """What is shown during the run."""

    progress: bool = True
    """Show progress bars in a terminal or notebook."""


@dataclass(frozen=True, kw_only=True)
class ConsoleSettings(ProgressSettings):
    """What is shown during the run."""

    verbose: bool = False
    """Show debug messages."""

    quiet: bool = False
    """Show warnings and errors only; no progress bars."""

    json_log: bool = False
    """Print each log line as a JSON object with time, level, logger and message; no progress bars.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.verbose and self.quiet:
            raise ConfigError("verbose and quiet: both true; expected one of them at most")


@dataclass(frozen=True, kw_only=True)
class DryRunSettings(Settings):
    """What is written."""

    dry_run: bool = False
    """Run a small part, print what the whole run would do and how long it would take; write
    nothing."""


@dataclass(frozen=True, kw_only=True)
class FolderSettings(Settings):
    """What is written."""

    overwrite: bool = False
    """Delete the results of an earlier run in the output folder; otherwise they are moved to its
    subfolder earlier."""


@dataclass(frozen=True, kw_only=True)
class PageSettings(FolderSettings):
    """What is written."""

    report: bool = True
    """Write a page of the run, report.html, to the output folder."""


@dataclass(frozen=True, kw_only=True)
class ScanFileSettings(Settings):
    """How the scan file is read."""

    measurement: Measurement | None = None
    """What the frames of the file hold; none takes it from the file."""

    mask: Path | None = also(None, must_exist="mask")
    """Valid detector pixels: an array (N, N) in .npy, .npz or .tif, True or 1 on valid pixels; none
    takes it from the scan file."""

    mask_polarity: Literal["good", "bad"] = "good"
    """Whether the mask, that of a file or of --mask, marks the good or the bad pixels. Formats that
    mark bad pixels are known; `bad` is for files that do otherwise."""

    join: str | None = also(None, many=0, must_exist="scan file")
    """Other files of the same scan, such as those of positions and probe, or of further frames, in
    this order; may be repeated."""

    map: str | None = also(None, many=0)
    """Where a quantity is in an HDF5 file, NAME=/PATH[,unit=UNIT][,scale=FACTOR]; may be repeated.
    Names: frames, positions, x, y, probe, object, mask, bad_pixels, dark, energy, wavelength,
    distance, detector_pixel, object_pixel."""

    scan_shape: str | None = also(None, many=2)
    """Rows and columns of a raster scan, for files without positions."""

    step_nm: str | None = also(None, many=2)
    """Step of the raster in nanometres: one number, or one between rows and one between columns."""

    step_px: str | None = also(None, many=2)
    """The same in object pixels."""

    rotation_deg: float = 0.0
    """Angle of the scan against the frames in degrees, from the row axis to the column axis."""

    positions: str | None = also(None, many=0)
    """Steps on the positions, in order: swap, negate_rows, negate_cols, reverse (their order),
    snake (reverses every other row), late and early (by one frame)."""

    positions_unit: str | None = None
    """Unit of the positions: m, mm, um, nm, A or px; none takes it from the file."""

    frames: str | None = also(None, many=0)
    """Steps on the frames, in order: transpose, flipud, fliplr, rot90, fftshift."""

    crop: int | None = None
    """Side of the window cut from each frame, detector pixels; none takes the largest square."""

    center: str | None = also(None, many=2)
    """Row and column of the zero frequency in the frames; auto takes the centre of mass of the mean
    frame; none takes the middle."""

    bin: int = 1
    """Side of the squares of detector pixels that are summed to one."""

    probe: str | None = also(None, many=0)
    """Steps on the probe of the file, in order: those of frames, and conjugate."""

    skip_frames: str | None = also(None, many=0)
    """Frames to be left out, 17 or 100-120, separated by commas; `found` leaves out all that the
    inspection names, however many, also those whose position is the one of the frame before."""

    keep_all: bool = False
    """Exclude nothing that is not named by other flags. Otherwise commands that compute exclude
    frames unlike their neighbours (blank, too bright, frozen, shifted, far off; none if they are
    more than a third), pixels that are dead, hot or in a gap, and flashes of single pixels.
    `inspect` names them; `import` and `convert` keep them."""

    dark: Path | None = also(None, must_exist="dark")
    """Frame to be subtracted from all others: an array in .npy, .npz or .tif. Negative values
    become 0."""

    pedestal: float | None = None
    """Number to be subtracted from every pixel; negative values become 0, and 0 does only that."""

    gain: float | None = None
    """Stored units per photon or electron; frames are divided by it."""

    energy_kev: float | None = None
    """Energy of the photons; none takes it from the file."""

    voltage_kv: float | None = None
    """Acceleration voltage of the electrons; none takes it from the file."""

    distance_m: float | None = None
    """From sample to detector in metres; none takes it from the file."""

    detector_pixel_um: float | None = None
    """Side of a stored detector pixel in micrometres; none takes it from the file."""

    object_pixel_nm: float | None = None
    """Side of an object pixel in nanometres, instead of the one that follows from energy, distance
    and detector pixel."""

    semiangle_mrad: float | None = None
    """Convergence semi-angle of an electron probe; the bright-field disc then gives the object
    pixel."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "crop", "bin")
        above_zero(
            self, "gain", "energy_kev", "voltage_kv", "distance_m", "detector_pixel_um",
            "object_pixel_nm", "semiangle_mrad",
        )  # fmt: skip
        if self.energy_kev is not None and self.voltage_kv is not None:
            raise ConfigError("energy_kev and voltage_kv: both given; expected one of them")


@dataclass(frozen=True, kw_only=True)
class FrameSizeSettings(ScanFileSettings):
    """How the scan file is read."""

    N: int | None = None
    """Expected frame size in pixels, checked against the file; none takes it from the file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 4, "N")


@dataclass(frozen=True, kw_only=True)
class ComputeSettings(Settings):
    """Where it is computed."""

    device: Device = "auto"
    """Device of the computation; auto takes a GPU if there is one."""

    threads: int | None = None
    """CPU threads; none leaves the choice to PyTorch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "threads")


@dataclass(frozen=True, kw_only=True)
class SelectionSettings(Settings):
    """Which frames of a scan are used, and how they are grouped."""

    gridsize: int | None = None
    """A group has gridsize x gridsize overlapping frames; 1 turns grouping off."""

    n_images: int | None = also(None, aliases=["n_groups"])
    """Number of samples: single frames at gridsize 1, groups of gridsize^2 frames above. None uses
    all frames, or as many groups as use each frame once."""

    neighbor_count: int | None = also(None, aliases=["K"])
    """Nearest positions from which the members of a group are drawn, its seed position not counted;
    none means 8 at gridsize 2, 24 at gridsize 3."""

    sampling: str = also(
        "uniform", choices=SAMPLERS, switches={"sequential_sampling": "sequential"}
    )
    """How groups are sampled: {choices}. Single frames are always the first ones."""

    seed: int = also(0, aliases=["subsample_seed"])
    """Seed of all random numbers; the same seed gives the same result."""

    min_overlap: float | None = None
    """Smallest overlap of two members of a group as a fraction of the probe diameter, 0 to 1; sets
    max_distance from the probe of the scan."""

    max_distance: float | None = None
    """Largest distance between two members of a group in object pixels; none sets no limit."""

    min_distance: float = 0.0
    """Smallest distance between two members of a group in object pixels; above 0 it keeps repeated
    exposures of one spot out of a group."""

    metric: Literal["pixels", "steps"] = "pixels"
    """Unit of distance in the search for neighbors: pixels, or scan steps along each axis, which
    keeps groups compact where the two steps differ (fly scans)."""

    cache: bool = True
    """Keep the list of all groups on disk for the next run."""

    cache_dir: Path | None = None
    """Folder of that list; none chooses one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "gridsize", "n_images", "neighbor_count")
        at_least(self, 0, "min_distance")
        a_seed(self)
        above_zero(self, "max_distance")
        if self.min_overlap is not None and not 0 <= self.min_overlap < 1:
            raise ConfigError(f"min_overlap: {self.min_overlap}; expected 0 to below 1")
        if self.min_overlap is not None and self.max_distance is not None:
            raise ConfigError("min_overlap and max_distance: both given; expected one of them")
        members = (self.gridsize or 1) ** 2
        if self.neighbor_count is not None and self.neighbor_count < members - 1:
            raise ConfigError(
                f"neighbor_count: {self.neighbor_count}; expected {members - 1} or more, "
                f"the other members of a group at gridsize {self.gridsize}"
            )


@dataclass(frozen=True, kw_only=True)
class VerdictSettings(Settings):
    """How the result is judged."""

    verdict: bool = True
    """Judge whether the frames confirm the object: consistent, doubtful or wrong, with reasons.
    Two short reconstructions of a compact part have to predict each other's frames."""


@dataclass(frozen=True, kw_only=True)
class StrictSettings(Settings):
    """How the result is judged."""

    strict: bool = False
    """Exit with code 3 if the verdict is wrong; otherwise the exit code is 0 for any verdict."""


@dataclass(frozen=True, kw_only=True)
class RefinementSettings:
    """What is refined with the object."""

    refine: str | None = None
    """Nuisance parameters to refine: none, or some of probe, positions, intensity, background,
    affine, search and variation, separated by commas. Each of the switches below adds one. auto
    adds those with which frames that were held out are predicted better."""

    refine_probe: bool = False
    """Refine the probe, from the second iteration on."""

    refine_positions: bool = False
    """Correct position errors of a few object pixels, from the fourth iteration on."""

    refine_intensity: bool = False
    """Estimate the beam intensity of each frame relative to the mean."""

    refine_background: bool = False
    """Estimate the background: photons on each detector pixel that do not come from the sample."""

    refine_affine: bool = False
    """Correct rotation, scale and shear of all positions together, before single ones."""

    refine_search: bool = False
    """Search each position within 20 object pixels of where the scan puts it, then correct it."""

    refine_variation: bool = False
    """Estimate how the probe varies from frame to frame: three components, and their weights."""

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]  # that of the other settings of a command
        known = (
            "probe", "positions", "intensity", "background", "affine", "search",
            "variation",
        )  # fmt: skip
        named = [word.strip() for word in (self.refine or "").split(",") if word.strip()]
        for name in named:
            if name in ("auto", "none"):
                continue
            if name not in known:
                raise ConfigError(
                    f"refine: {name!r}; expected none, auto or some of {', '.join(known)}"
                )
            object.__setattr__(self, f"refine_{name}", True)
        refined = ["auto"] * ("auto" in named)
        refined += [name for name in known if getattr(self, f"refine_{name}")]
        object.__setattr__(self, "refine", ",".join(refined) or None)
