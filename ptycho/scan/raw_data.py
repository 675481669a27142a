"""RawData: one scan, checked once, and the groups of frames sampled from it.

Data flow: file -> [RawData] -> groups -> batches -> ... -> report.
Knows frames, positions, probe and files; no networks, no torch.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int, Int32, Shaped

from ptycho.errors import DataError
from ptycho.experiment import Experiment
from ptycho.grouping.cache import CachePlace
from ptycho.grouping.enumerate import all_groups, sample_rows
from ptycho.grouping.neighbours import get_neighbor_indices
from ptycho.grouping.rule import GroupRule
from ptycho.io.fields import ScanFields, check_frames
from ptycho.io.formats import read_fields, write_fields
from ptycho.io.measurement import Measurement
from ptycho.io.reading import Reading
from ptycho.scan import checks
from ptycho.scan.exclusion import Exclusion
from ptycho.scan.flashes import checked_flashes, flashes_of
from ptycho.scan.grouped_arrays import grouped_arrays, true_windows
from ptycho.scan.selection import report_selection, select_groups
from ptycho.scan.stored_frames import StoredFrames
from ptycho.spread import spread

# Users import the last two from here.
__all__ = ["Measurement", "RawData", "get_neighbor_indices", "sample_rows"]

_CHECKED_FRAMES = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class RawData(StoredFrames):
    """One scan: frames, where they were taken, and with which illumination.

    Raises:
        DataError: When the parts do not fit together or hold values that cannot be measured.
    """

    # Loose shapes: what is handed over is checked below, with errors a user can read.

    xcoords: Shaped[np.ndarray, "..."]
    """(M,) column of each probe centre, object pixels; kept as float64."""

    ycoords: Shaped[np.ndarray, "..."]
    """(M,) row of each probe centre, object pixels; kept as float64."""

    probe: Shaped[np.ndarray, "..."]
    """(mode, N, N) or (N, N) illumination, sqrt(photons) per object pixel up to its scale; kept
    as complex64 with modes."""

    probe_known: bool = True
    """False for a probe that was estimated from the frames, a start for its refinement."""

    xcoords_start: Shaped[np.ndarray, "..."] | None = None
    """(M,) columns before a correction of the positions; xcoords when None."""

    ycoords_start: Shaped[np.ndarray, "..."] | None = None
    """(M,) rows before a correction of the positions; ycoords when None."""

    obj: Shaped[np.ndarray, "..."] | None = None
    """(H, W) transmission of the sample, truth or guess, kept as complex64; pixel (r, c) lies at
    scan coordinate (r, c)."""

    patches: Shaped[np.ndarray, "..."] | None = None
    """(M, N, N) true object window of each frame, where the file holds them (its entry Y)."""

    scan_index: Shaped[np.ndarray, "..."] | None = None
    """(M,) scan each frame belongs to, kept as int64; 0 for all when None."""

    joined: tuple[Path, ...] = ()
    """Other files that it came from."""

    skipped: tuple[int, ...] = ()
    """Numbers of the frames in these files that are left out."""

    numbers: Shaped[np.ndarray, "..."] | None = None
    """(M,) number of each frame in these files, whichever are left out; None counts from 0."""

    excluded: Exclusion = field(default_factory=Exclusion)
    """What was excluded when the file was read, and why."""

    pixel_size_m: float | None = None
    """Size of an object pixel, metres."""

    experiment: Experiment = field(default_factory=Experiment)
    """The physics that made the frames: thin sample in the far field, unless the file says."""

    warnings: tuple[str, ...] = ()
    """What the inspection of the file warned of; see `ptycho.scan.inspection`."""

    metadata: dict[str, Any] = field(default_factory=dict)
    """What else is known; plain values that JSON can hold."""

    def __post_init__(self) -> None:
        where, n = self._where, len(self.frames) if self.frames.ndim else 0
        check_frames(where, self.frames)
        checks.check_measurement(where, self.measurement)
        for name in ("xcoords", "ycoords"):
            self._set(name, checks.checked_coordinates(where, name, getattr(self, name), n))
            start, given = f"{name}_start", getattr(self, f"{name}_start")
            start_values = getattr(self, name) if given is None else given
            self._set(start, checks.checked_coordinates(where, start, start_values, n))
        self._set("scan_index", checks.checked_scan_index(where, self.scan_index, n))
        self._set("probe", checks.checked_probe(where, self.probe, self.frame_size))
        self._set("mask", checks.checked_mask(where, self.mask, self.frame_size))
        checks.check_pixel_size(where, self.pixel_size_m)
        self._set("flashes", checked_flashes(where, self.flashes, self.frames.shape))
        fits = self.numbers is not None and len(self.numbers) == n
        self._set("numbers", np.asarray(self.numbers) if fits else np.arange(n))
        self._set("background", checks.checked_background(where, self.background, self.frame_size))
        if self.obj is not None:
            self._set("obj", checks.checked_object(where, self.obj))
        self._sound_frames(spread(n, _CHECKED_FRAMES))

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        reading: Reading | None = None,
        *,
        measurement: Measurement | None = None,
        mask: Shaped[np.ndarray, "..."] | None = None,
    ) -> "RawData":
        """Read a scan file of any known format (`ptycho.io.FORMATS`).

        Args:
            path: The file.
            reading: How to read it; None believes the file.
            measurement: What the frames are, instead of what `reading` says.
            mask: (N, N) True on good pixels, instead of that of `reading`.

        Raises:
            DataError: If the file is missing, damaged, in an unknown format or not a valid scan.
        """
        given = {"measurement": measurement, "mask": mask}
        chosen: dict[str, Any] = {name: v for name, v in given.items() if v is not None}
        fields = read_fields(path, dataclasses.replace(reading or Reading(), **chosen))
        text = fields.get("experiment")
        known = Experiment() if text is None else Experiment.from_json(text, str(path))
        scan: dict[str, Any] = {**fields, "experiment": known}
        skipped = fields.get("skipped", ())
        numbers = np.setdiff1d(np.arange(len(fields["frames"]) + len(skipped)), skipped)
        return cls(**scan, numbers=numbers)

    def save(self, path: Path | str) -> None:
        """Write the scan as an uncompressed PtychoPINN NPZ that can be memory-mapped.

        Frames are written as stored, without `photons_per_unit`, flashes replaced. A missing folder
        is created.

        Raises:
            DataError: If the name does not end in .npz, or the folder cannot be written.
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["frames"] = self.mended_frames
        usual = self.experiment == Experiment()  # which a file need not state
        fields["experiment"] = None if usual else self.experiment.to_json()
        write_fields(path, cast(ScanFields, fields))

    @property
    def positions(self) -> Float[np.ndarray, "frame 2"]:
        """Probe centres as (row, col), object pixels."""
        return np.stack([self.ycoords, self.xcoords], axis=1)

    def numbers_of(self, indices: Sequence[int] | Int[np.ndarray, " n"]) -> list[int]:
        """Return the numbers of some frames in their file."""
        return [int(number) for number in np.asarray(self.numbers)[np.asarray(indices, int)]]

    def scaled_to(self, photons: float) -> "RawData":
        """Return the scan with its stored unit read so that the mean frame holds so many photons.

        Raises:
            DataError: When the frames are dark.
        """
        if not self._mean_photons > 0:
            raise DataError(f"{self._where}: frames without photons; expected some to scale")
        factor = photons / self._mean_photons
        return dataclasses.replace(self, photons_per_unit=factor * self.photons_per_unit)

    def subset(self, indices: Int[np.ndarray, " n"] | slice) -> "RawData":
        """Return a scan of some frames, in the order given; it has no file of its own."""
        names = ("frames", "xcoords", "ycoords", "xcoords_start", "ycoords_start", "scan_index",
                 "numbers")  # fmt: skip
        parts = {name: getattr(self, name)[indices] for name in names}
        parts["patches"] = None if self.patches is None else self.patches[indices]
        if self.flashes is not None:
            parts["flashes"] = flashes_of(self.flashes, np.arange(self.n_frames)[indices])
        return dataclasses.replace(self, **parts, path=None)

    def first(self, n: int) -> "RawData":
        """Return a scan of the first n frames."""
        return self.subset(slice(n))

    def select_groups(
        self,
        n: int | None,
        rule: GroupRule,
        *,
        sampling: str = "uniform",
        seed: int = 0,
        use_cache: bool = True,
        cache_dir: Path | None = None,
        probe_diameter: float | None = None,
    ) -> Int32[np.ndarray, "group member"]:
        """Return the groups of a run; the log states what the number counts.

        Args:
            n: `n_images`: frames at gridsize 1, groups above; None for all frames, or as many
                groups as use every frame once.
            rule: What makes a group valid. Gridsize 1 takes the first n frames in their order,
                each a group of its own.
            sampling: A name in `ptycho.grouping.SAMPLERS`; without effect at gridsize 1.
            seed: Fixes the sample.
            use_cache: Whether to keep the groups on disk; the sample is the same without.
            cache_dir: Folder of the groups cache instead of the scan's.
            probe_diameter: The unit of the logged overlap, pixels; None logs none.

        Raises:
            GroupingError: If no such groups exist.
        """
        place = CachePlace.of(self.path, cache_dir) if use_cache else None
        selected = select_groups(
            self.xcoords, self.ycoords, n, rule, sampling=sampling, seed=seed,
            scan_index=self.scan_index, cache=place,
        )  # fmt: skip
        report_selection(self.xcoords, self.ycoords, selected, rule, probe_diameter=probe_diameter)
        return selected.groups

    def generate_grouped_data(
        self,
        N: int,
        K: int | None = None,
        nsamples: int = 1,
        dataset_path: Path | str | None = None,
        seed: int | None = None,
        gridsize: int = 1,
        *,
        sampling: str = "uniform",
        use_cache: bool = True,
    ) -> dict[str, Any]:
        """Return frames and coordinates of chosen groups in the historic dictionary.

        Args:
            N: Rows and columns of a frame, checked against the scan.
            K: Neighbours from which the members of a group are drawn; None for the default.
            nsamples: Frames at gridsize 1, groups above.
            dataset_path: File whose name and folder the groups cache takes; None for the scan's.
            seed: Fixes the sample; None is 0.
            gridsize: Groups have gridsize * gridsize frames.
            sampling: A name in `ptycho.grouping.SAMPLERS`.
            use_cache: Whether to keep the groups on disk.

        Returns:
            What `grouped_arrays` lists, `Y` (G, N, N, C) the true object windows or None, and
            `objectGuess` (H, W) or None.

        Raises:
            DataError: If N is not the size of the frames, or a frame is damaged.
            GroupingError: If no such groups exist.
        """
        if self.frame_size != N:
            raise DataError(f"{self._where}: frames of {self.frame_size} pixels; expected N = {N}")
        rule = GroupRule(gridsize=gridsize, K=K)
        place = CachePlace.of(dataset_path or self.path) if use_cache else None
        selected = select_groups(
            self.xcoords, self.ycoords, nsamples, rule, sampling=sampling, seed=seed or 0,
            scan_index=self.scan_index, cache=place,
        )  # fmt: skip
        report_selection(self.xcoords, self.ycoords, selected, rule)
        groups = selected.groups
        data = grouped_arrays(
            self.amplitude(groups.ravel()), groups,
            coords=np.stack([self.xcoords, self.ycoords], axis=1),
            coords_start=np.stack(
                [np.asarray(self.xcoords_start), np.asarray(self.ycoords_start)], axis=1
            ),
        )  # fmt: skip
        truth = true_windows(
            groups, self.positions, self.frame_size, obj=self.obj, patches=self.patches
        )
        return data | {"Y": truth, "objectGuess": self.obj}

    def _find_all_valid_groups(
        self, K: int | None = None, gridsize: int = 2
    ) -> Int32[np.ndarray, "group member"]:
        """Return every valid group of the scan, without the cache; None for the default K."""
        rule = GroupRule(gridsize=gridsize, K=K)
        return all_groups(self.xcoords, self.ycoords, rule, scan_index=self.scan_index)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen for everyone else
