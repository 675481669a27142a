"""What cdtools, ptychodus, pty-chi and ptypy read in the files that ptycho writes for them.

A small scan is simulated, written in every format for which such a package has a reader, and read
by that package in an environment of its own (`make bench-peers`), see `peers_side.py`. Counts, mask
and probe have to be equal, positions to a millionth of a pixel (1e-5 where a package keeps them in
single precision), lengths to 1e-6. The forward model of the package has to predict, with what it
read, the intensities of the simulation: a mirrored axis, exchanged axes or a window that is half a
pixel off shows there, whatever the convention.

    python benchmarks/peers_read.py [--python .venv/.peers/bin/python] [--output docs/benchmarks]
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import ptycho
from ptycho.api.conversion import write_scan
from ptycho.experiment import Geometry
from ptycho.scan.raw_data import RawData

HERE = Path(__file__).parent
BAD = (13, 40)
GEOMETRY = Geometry(wavelength_m=1.55e-10, distance_m=2.0, detector_pixel_m=75e-6)
SINGLE, DOUBLE = 1e-5, 1e-6
"""Largest error of a position, pixels, in single and in double precision."""
LENGTH = 1e-6
"""Largest relative error of a length; the constant of nature that packages use has 7 digits."""
FORWARD = 1e-3
"""Largest misfit of predicted intensities. Packages shift probe or object by a fraction of a pixel
in different ways; half a pixel costs twenty times as much."""


PARTS = ("counts", "mask", "probe", "object", "positions", "lengths", "prediction")
_PROSE = """
`make bench-peers` simulates a scan of 59 frames of 64 x 64 pixels, writes it in every format for
which another package has a reader, and lets that package read it in an environment of its own.
Counts, mask, probe and object have to be equal. `positions` is the largest difference of the first
pixel of a window in the object (of the scan, where no object is read), `lengths` the largest
relative difference of wavelength, distance, detector pixel and object pixel, as far as they are
read (how many).

`prediction` is what the forward model of the package makes of what it read: the squared difference
of its amplitudes and those of the simulation without noise, as a share of the photons. Packages
shift the probe or the object by a fraction of a pixel in different ways (up to 2e-4). A window that
is half a pixel off costs 3e-3 to 6e-3. cdtools and pty-chi also reconstruct for one iteration.

Bold cells disagree; an empty cell is not read from such a file.
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file of ours and the reader it is for."""

    package: str
    file: str
    to: str
    reading: str
    by: str
    """The functions of the package that read it."""

    single: bool = False
    """Whether the package keeps positions in single precision."""

    bare: bool = False
    """Whether the scan is written without its object, as a measured one is."""

    note: str = ""
    """Why it may differ."""


CASES = (
    Case(package="cdtools", file="scan.cxi", to="cxi", reading="cdtools_cxi",
         by="`Ptycho2DDataset.from_cxi`, `FancyPtycho`", single=True),
    Case(package="ptychodus", file="scan.cxi", to="cxi", reading="ptychodus_cxi",
         by="CXI readers"),
    Case(package="ptychodus", file="scan.h5", to="ptychodus", reading="ptychodus_product",
         by="`load_product`, `load_diffraction_data`"),
    Case(package="cdtools", file="bare.cxi", to="cxi", reading="cdtools_cxi",
         by="`Ptycho2DDataset.from_cxi`, `FancyPtycho`", single=True, bare=True),
    Case(package="ptychodus", file="bare.cxi", to="cxi", reading="ptychodus_cxi",
         by="CXI readers", bare=True),
    Case(package="ptychodus", file="bare.h5", to="ptychodus", reading="ptychodus_product",
         by="`load_product`, `load_diffraction_data`", bare=True),
    Case(package="ptychodus", file="scan.nxs", to="nexus", reading="ptychodus_nexus",
         by="CXI readers; none for NeXus"),
    Case(package="ptychodus", file="scan.mat", to="mat", reading="ptychodus_fold_slice",
         by="reader of fold_slice",
         note="ptychodus places offsets about the middle of the object, without the 1 from which "
         "MATLAB counts: its windows begin one pixel further than those of PtychoShelves "
         "(`find_reconstruction_ROI`), which the file follows."),
    Case(package="pty-chi", file="arrays.npz", to="ptychi", reading="ptychi_arrays",
         by="`PtychographyTask`", single=True),
    Case(package="ptypy", file="scan.ptyr", to="ptyr", reading="ptypy_ptyr", by="`io.h5read`",
         note="ptypy is not on PyPI, so the target does not install it. By its source "
         "(`Storage.update_views`), windows begin at round((position - origin) / psize) - N // 2, "
         "as in the file."),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What one package found in one file."""

    case: Case
    version: str
    cells: dict[str, str]
    """Agreement by part; empty where the reader takes no such part from the file."""

    agrees: bool
    problem: str = ""
    """Why there is nothing to compare."""


def simulated() -> tuple[RawData, RawData]:
    """Return a scan that no symmetry of it hides an error of, with counts and without noise.

    Steps differ between rows and columns, positions have fractions, the probe is complex and has
    two modes, and the frames at one end are missing.
    """
    counts, intensity = (
        ptycho.simulate(n_frames=64, N=64, step=4.3, row_step=3.1, jitter=0.5, probe="lens",
                        modes=2, photons=1e5, seed=3, noise=noise, progress=False)
        for noise in (True, False)
    )  # fmt: skip
    mask = np.ones((64, 64), bool)
    mask[BAD] = False
    kept = np.arange(5, 64)
    made = []
    for raw in (counts, intensity):
        part = raw.subset(kept)
        experiment = replace(part.experiment, geometry=GEOMETRY)
        made.append(replace(part, mask=mask, experiment=experiment, patches=None))
    return made[0], made[1]


def truth_of(raw: RawData) -> dict[str, Any]:
    """Return what a package should find."""
    size = raw.frame_size
    assert raw.obj is not None
    return {
        "frames": np.asarray(raw.frames[:]),
        "valid": raw.mask,
        "corners": raw.positions - size // 2,
        "probe": raw.probe,
        "obj": raw.obj,
        "wavelength_m": GEOMETRY.wavelength_m,
        "distance_m": GEOMETRY.distance_m,
        "detector_pixel_m": GEOMETRY.detector_pixel_m,
        "object_pixel_m": GEOMETRY.object_pixel_m(size),
    }


def read_by_peer(case: Case, files: tuple[Path, ...], python: Path, truth: Path) -> dict[str, Any]:
    """Return what the package found.

    Raises:
        RuntimeError: If it failed; the text is the last line it wrote.
    """
    output = truth.with_name("found.npz")
    output.unlink(missing_ok=True)
    words = [python, HERE / "peers_side.py", case.reading, *files, "--truth", truth]
    done = subprocess.run(
        [*map(str, words), "--output", str(output)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    with np.load(output) as file:
        return dict(file)


def compared(
    case: Case, found: dict[str, Any], truth: dict[str, Any], expected: np.ndarray
) -> Iterator[tuple[str, str, bool]]:
    """Yield part, finding and whether it agrees."""
    for name, part in (
        ("frames", "counts"),
        ("valid", "mask"),
        ("probe", "probe"),
        ("obj", "object"),
    ):
        if name in found:
            same = np.array_equal(found[name], truth[name])
            yield part, "equal" if same else "different", same
    if "corners" in found:
        away = found["corners"] - truth["corners"]
        if found.get("corners_are_relative", False):
            away = away - away.mean(axis=0)
        largest = float(np.abs(away).max())
        yield "positions", f"{largest:.1g} px", largest <= (SINGLE if case.single else DOUBLE)
    lengths = ("wavelength_m", "distance_m", "detector_pixel_m", "object_pixel_m")
    errors = [abs(float(found[name]) / truth[name] - 1) for name in lengths if name in found]
    if errors:
        yield "lengths", f"{max(errors):.1g} ({len(errors)})", max(errors) <= LENGTH
    if "expected" in found:
        misfit = misfit_of(found["expected"], expected)
        yield "prediction", f"{misfit:.1g}", misfit <= FORWARD


def misfit_of(predicted: np.ndarray, expected: np.ndarray) -> float:
    """Return the squared difference of amplitudes, as a share of the photons, at the best scale."""
    ours, theirs = np.sqrt(expected.astype(float)), np.sqrt(predicted.astype(float))
    scale = (ours * theirs).sum() / (theirs**2).sum()
    return float(((ours - scale * theirs) ** 2).sum() / (ours**2).sum())


def rows_of(folder: Path, python: Path) -> list[Row]:
    """Write every file, let its package read it, return what it found."""
    counts, intensity = simulated()
    truth, expected = truth_of(counts), np.asarray(intensity.frames[:])
    np.savez(folder / "truth.npz", **{k: v for k, v in truth.items() if k != "frames"})
    rows = []
    for case in CASES:
        scan = replace(counts, obj=None) if case.bare else counts
        files = write_scan(scan, folder / case.file, to=case.to, overwrite=True)
        try:
            found = read_by_peer(case, files, python, folder / "truth.npz")
        except RuntimeError as problem:
            rows.append(Row(case, "", {}, agrees=False, problem=str(problem)))
            continue
        if case.bare:
            found.pop("obj", None)  # vacuum
            found["corners_are_relative"] = True
            if case.package == "ptychodus":
                del found["expected"]  # of vacuum
        parts = list(compared(case, found, truth, expected))
        cells = {part: text if fine else f"**{text}**" for part, text, fine in parts}
        agrees = all(fine for _, _, fine in parts)
        rows.append(Row(case, str(found["version"]), cells, agrees=agrees))
    return rows


def table_of(rows: list[Row]) -> str:
    """Return the page."""
    noted = [row.case.note for row in rows if row.case.note]
    lines = [
        "# Files for other packages, read by these packages",
        _PROSE,
        f"| package | format | read by | {' | '.join(PARTS)} |",
        "|" + "---|" * (3 + len(PARTS)),
    ]
    for row in rows:
        name, case = f"{row.case.package} {row.version}".strip(), row.case
        mark = f" ({noted.index(case.note) + 1})" if case.note else ""
        cells = [row.cells.get(part, "") for part in PARTS]
        if row.problem:
            cells = [f"not read: {row.problem}", *[""] * (len(PARTS) - 1)]
        mark = ", no object" if case.bare else mark
        lines.append(f"| {name} | `{case.to}`{mark} | {case.by} | {' | '.join(cells)} |")
    notes = [f"\n({i}) {note}" for i, note in enumerate(noted, 1)]
    return "\n".join([*lines, *notes, ""])


def main() -> None:
    """Compare, print the table and write it; the exit code is 1 if a package disagrees."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, default=Path(".venv/.peers/bin/python"))
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(Path(folder), args.python)
    page = table_of(rows)
    print(page)
    (args.output / "peers.md").write_text(page)
    if not all(row.agrees or row.problem or row.case.note for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
