"""Every setting of every command: one frozen dataclass per command, checked once.

Settings hold no behaviour. The docstring below a field is its `--help` text, its annotation the
type of its flag; how settings are read, merged and saved is told in `ptycho.settings.base`. Only
workflows and scripts read them; stages below are handed plain values.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ptycho.durations import seconds_of
from ptycho.errors import ConfigError
from ptycho.settings.base import also, convert_fields, from_mapping, save_settings, to_dict

Measurement = Literal["counts", "intensity", "amplitude"]
Sampling = Literal["uniform", "balanced", "sequential"]
Device = Literal["auto", "cpu", "cuda", "mps"]


def at_least(config: object, least: float, *names: str) -> None:
    """Refuse settings below a bound, naming the first; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not least <= value < float("inf"):
            raise ConfigError(f"{name}: {value}; expected {least} or more")


def at_most(config: object, most: float, *names: str) -> None:
    """Refuse settings above a bound, naming the first; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value > most:
            raise ConfigError(f"{name}: {value}; expected {most:g} or less")


def above_zero(config: object, *names: str) -> None:
    """Refuse settings that are not above zero and finite, naming the first; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{name}: {value}; expected a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleConfig:
    """What a command says while it runs."""

    progress: bool = True
    """Draw progress bars (on a terminal only)."""

    verbose: bool = False
    """Also say what matters only when something is amiss."""

    quiet: bool = False
    """Say warnings only; no progress bars."""

    json_log: bool = False
    """Say each line as a JSON object with time, level, logger and message; no progress bars."""

    def __post_init__(self) -> None:
        convert_fields(self)
        if self.verbose and self.quiet:
            raise ConfigError("verbose and quiet: both true; expected one of them at most")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionConfig(ConsoleConfig):
    """Which frames of a scan take part, and how they are gathered into groups."""

    gridsize: int | None = None
    """A group has gridsize x gridsize overlapping frames; 1 turns grouping off."""

    n_images: int | None = also(None, aliases=["n_groups"])
    """How many samples to use: single frames at gridsize 1, groups of gridsize^2 frames above.
    None uses all frames, or as many groups as the scan has frames for."""

    neighbor_count: int | None = also(None, aliases=["K"])
    """Nearest positions a group may draw from, its seed not counted; none means 8 at gridsize 2,
    24 at gridsize 3."""

    sampling: Sampling = also("uniform", switches={"sequential_sampling": "sequential"})
    """How groups are chosen: uniform (each equally likely), balanced (all positions used as evenly
    as possible) or sequential (the first ones). Single frames are always the first ones."""

    seed: int = also(0, aliases=["subsample_seed"])
    """Start of every random choice; the same seed gives the same run."""

    min_overlap: float | None = None
    """Smallest overlap of two members of a group, as a share of the probe's diameter, 0 to 1: sets
    max_distance from the probe in the file."""

    max_distance: float | None = None
    """Largest distance of two members of a group in object pixels; none sets no limit."""

    min_distance: float = 0.0
    """Smallest distance of two members of a group in object pixels; above 0 it keeps frames from
    the same spot out of one group."""

    metric: Literal["pixels", "steps"] = "pixels"
    """What near means: pixels, or steps of the scan along each axis, which keeps groups compact
    where the steps differ (fly scans)."""

    measurement: Measurement | None = None
    """What the frames of the file are; none believes the file."""

    mask: Path | None = also(None, must_exist="mask")
    """Which detector pixels are good: an array (N, N) in .npy or .npz, True or 1 on good ones; none
    believes the scan file."""

    cache: bool = True
    """Keep the list of all groups on disk, beside the scan, for the next run."""

    cache_dir: Path | None = None
    """Folder for that list instead of the scan's own."""

    def __post_init__(self) -> None:
        ConsoleConfig.__post_init__(self)
        at_least(self, 1, "gridsize", "n_images", "neighbor_count")
        at_least(self, 0, "seed", "min_distance")
        at_most(self, 2**63 - 1, "seed")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _ComputeConfig(SelectionConfig):
    """Where and how a command computes."""

    N: int | None = None
    """Frame size in pixels, checked against the file; none takes it from there."""

    batch_size: int | None = None
    """Samples computed at a time; none chooses by size."""

    n_modes: int | None = None
    """Incoherent modes of the probe; those beyond the file's start as weak orthogonal ones, to be
    found along with the object. None keeps the file's."""

    device: Device = "auto"
    """Where to compute; auto takes a GPU when there is one."""

    threads: int | None = None
    """CPU threads; none leaves the choice to PyTorch."""

    dry_run: bool = False
    """Tell what would happen and how long it would take, having tried a small part; write nothing.
    """

    def __post_init__(self) -> None:
        SelectionConfig.__post_init__(self)
        at_least(self, 1, "batch_size", "threads", "n_modes")
        at_least(self, 4, "N")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig(_ComputeConfig):
    """Train a network on the diffraction frames of one scan; no ground truth is needed."""

    train_data_file: Path = also(must_exist="scan")
    """The scan to learn from."""

    more_train_data: str | None = None
    """Further scans to learn from, each with its own probe and dose: files separated by commas, or
    a pattern as 'scans/*.npz'."""

    test_data_file: Path | None = also(None, must_exist="scan")
    """Another scan to watch the training on, instead of a held-out part of the first."""

    output_dir: Path = also()
    """Folder for the trained model, its settings and its log."""

    gridsize: int = 1
    """A group has gridsize x gridsize overlapping frames; 1 turns grouping off."""

    network: Literal["lifted", "unet"] = "lifted"
    """lifted sees each frame projected back into the sample plane, unet the raw amplitudes."""

    finetune: str | None = None
    """Start from a trained model: its folder, or general for the one that comes with the package.
    """

    nepochs: int = 50
    """Passes over the samples."""

    budget: str | None = None
    """End by the clock instead of by nepochs: 60s, 10min, 2h."""

    learning_rate: float | None = None
    """Largest step size of the optimiser; none means 1e-3, and 2e-4 for fine-tuning."""

    loss: Literal["amplitude", "poisson"] = "amplitude"
    """Distance of predicted and measured frames: squared difference of amplitudes, or the Poisson
    likelihood of the counts."""

    train_probe: bool = False
    """Correct the probe along with the network, for files whose probe is a guess. It takes
    overlapping frames: gridsize 2 or more."""

    probe_warmup: int = 1
    """Epochs in which a probe to be trained still stays as it is."""

    probe_learning_rate: float = 0.1
    """Share of a whole correction that the probe takes after each batch, up to 1."""

    nphotons: float | None = None
    """Photons in the mean frame, for files in another unit; none believes the file."""

    validation_fraction: float = 0.05
    """Share of the scanned area held out to watch the training."""

    test_fraction: float = 0.0
    """Share of the scanned area that neither trains nor watches, at the end opposite to the
    held-out one; its groups are written to test_groups.npy."""

    held_out: Literal["block", "stripe"] = "block"
    """Shape of those areas: at corners of the scan, or across it."""

    guard: float | None = None
    """Width in pixels of the strip between training and held-out area; none takes the probe's."""

    picture_every: int = 5
    """Epochs between two pictures of the object for TensorBoard and `ptycho view`; more where a
    picture takes long, 0 for none."""

    report: bool = True
    """Leave a page of the run, report.html, in the output folder."""

    def __post_init__(self) -> None:
        _ComputeConfig.__post_init__(self)
        at_least(self, 1, "nepochs")
        above_zero(self, "learning_rate", "probe_learning_rate", "nphotons")
        at_most(self, 1, "probe_learning_rate")
        at_least(self, 0, "guard", "probe_warmup", "picture_every")
        if self.budget is not None:
            seconds_of(self.budget, "budget")
        if self.more_train_data is not None and self.train_probe:
            raise ConfigError("train_probe: with more_train_data; expected one scan, one probe")
        if (self.n_modes or 1) > 1 and not self.train_probe:
            raise ConfigError("n_modes: without --train_probe; expected it, to find the modes")
        if not 0 <= self.validation_fraction <= 0.5:
            raise ConfigError(f"validation_fraction: {self.validation_fraction}; expected 0 to 0.5")
        if not 0 <= self.test_fraction <= 0.5:
            raise ConfigError(f"test_fraction: {self.test_fraction}; expected 0 to 0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceConfig(_ComputeConfig):
    """Reconstruct the object of a scan with a trained model."""

    model_path: Path | None = also(None, must_exist="trained model")
    """The output folder of a training; none takes the general model that comes with the package."""

    test_data: Path = also(must_exist="scan")
    """The scan to reconstruct."""

    output_dir: Path = also()
    """Folder for the object, its pictures and its metrics."""

    gridsize: int | None = None
    """Frames per side of a group; none takes the model's. A lifted model takes any."""

    sampling: Sampling = also("balanced", switches={"sequential_sampling": "sequential"})
    """How groups are chosen: balanced (all positions used as evenly as possible), uniform (each
    equally likely) or sequential (the first ones). Single frames are always the first ones."""

    scan: int | None = None
    """Which scan of a file that holds several (its scan_index); each has an object of its own."""

    sweeps: int | None = None
    """Corrections of the whole object by all its frames, beyond the few that a lifted network makes
    itself. 0 is the network's object; none, or auto, goes on while pixels held out of the
    correction are predicted better."""

    use_model_probe: bool = False
    """Start from the probe saved with the model. A probe corrected in training is taken anyway when
    the scan tells the same probe as the one trained on; else the scan's own is."""

    refine_probe: bool = False
    """Correct the probe along with the object, from the second sweep on."""

    refine_background: bool = False
    """Find, for each detector pixel, the photons that do not come from the sample."""

    refine_intensity: bool = False
    """Find how bright the beam was in each frame; the mean stays."""

    refine_positions: bool = False
    """Correct small errors of the positions (a few object pixels), from the fourth sweep on."""

    comparison_plot: bool = False
    """Also draw the result beside the truth, where the scan file has one."""

    report: bool = True
    """Leave a page of the run, report.html, in the output folder."""

    trust: int | None = None
    """Also tell how far the object may be trusted, without a truth: its uncertainty on each pixel
    from so many scans drawn again (8 will do), and what two halves of the positions agree on. It
    takes as many reconstructions more, and one."""

    def __post_init__(self) -> None:
        _ComputeConfig.__post_init__(self)
        at_least(self, 0, "sweeps")
        at_least(self, 2, "trust")
        if (self.n_modes or 1) > 1 and not self.refine_probe:
            raise ConfigError("n_modes: without --refine_probe; expected it, to find the modes")
