"""The table of scan formats.

A format is one row: the first bytes of its files, their entries, and the function that reads them.
The function is imported when it is called, so a format with an optional library costs nothing
until a file needs it. A new format is a new row and a reader; nothing else changes.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ptycho.io.containers import (
    BLO,
    DM,
    EMD,
    EMPAD,
    HDF5,
    MAT5,
    MAT73,
    MIB,
    MRC,
    NPY,
    NPZ,
    TEXT,
    TIFF,
    TIFF_FOLDER,
    ZARR,
    Container,
)
from ptycho.io.readers.presets import PRESETS, read_preset
from ptycho.io.recorded import Recorded

Reader = Callable[[Path], Recorded]
"""Called with the file; returns what it states, in its own orientation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How files of one format are recognised and read."""

    container: Container
    """What its files begin with."""

    signatures: tuple[frozenset[str], ...] = (frozenset(),)
    """Sets of entries; a file with all entries of any one set has this format."""

    reader: str | Reader
    """The function, or `module:function` where it is."""

    holds: str = ""
    """What its files hold, for the table of formats: frames, positions, probe, object, ..."""

    extra: str = ""
    """Optional dependency that it needs, if any."""

    def load(self) -> Reader:
        """Return the reader, imported now."""
        if not isinstance(self.reader, str):
            return self.reader
        module, function = self.reader.split(":")
        found: Reader = getattr(importlib.import_module(module), function)
        return found


def _entries_of_any(*signatures: str) -> tuple[frozenset[str], ...]:
    """Return signatures written as words: `a b` is a file with the entries a and b."""
    return tuple(frozenset(signature.split()) for signature in signatures)


FORMATS: dict[str, Format] = {
    "PtychoPINN NPZ": Format(
        container=NPZ,
        signatures=_entries_of_any("xcoords ycoords diff3d", "xcoords ycoords diffraction"),
        reader="ptycho.io.ptychopinn:read",
        holds="frames, positions, probe, object, mask",
    ),
    "counts NPZ": Format(
        container=NPZ,
        signatures=_entries_of_any("counts position_row position_col"),
        reader="ptycho.io.counts:read",
        holds="frames, positions, probe, mask",
    ),
    # Before the formats of plain HDF5 with these entries: MATLAB reverses all axes.
    "MATLAB 7.3": Format(
        container=MAT73,
        signatures=(
            frozenset(),
            *_entries_of_any(
                "dp", "ppX ppY", "ptychogram encoder", "probe object encoder wavelength"
            ),
        ),
        reader="ptycho.io.readers.matlab:read_73",
        holds="frames, positions, probe, object, mask",
    ),
    "CXI": Format(
        container=HDF5,
        signatures=_entries_of_any(
            "cxi_version entry_1/data_1/data",
            "cxi_version entry_1/data_1/translation",
            "cxi_version entry_1/instrument_1/detector_1/data",
            "entry_1/data_1/data entry_1/instrument_1/detector_1",
        ),
        reader="ptycho.io.readers.cxi:read",
        holds="frames, positions, probe, object, mask",
    ),
    "NeXus NXcxi_ptycho": Format(
        container=HDF5,
        signatures=_entries_of_any(
            "entry_1/definition entry_1/data entry_1/instrument_1/detector_1",
            "entry_1/instrument_1/beam_1 entry_1/data entry_1/instrument_1/detector_1",
        ),
        reader="ptycho.io.readers.nexus:read",
        holds="frames, positions",
    ),
    "ptypy scan": Format(
        container=HDF5,
        signatures=_entries_of_any("chunks meta", "chunks info"),
        reader="ptycho.io.readers.ptypy:read_scan",
        holds="frames, positions, mask",
    ),
    "ptypy reconstruction": Format(
        container=HDF5,
        signatures=_entries_of_any("content/probe content/obj"),
        reader="ptycho.io.readers.ptypy:read_result",
        holds="positions, probe, object",
    ),
    "ptychodus": Format(
        container=HDF5,
        signatures=_entries_of_any(
            "patterns indexes",
            "patterns bad_pixels",
            "probe_position_x_m probe_position_y_m",
            "patterns probe_position_x_px probe_position_y_px",
        ),
        reader="ptycho.io.readers.ptychodus:read_hdf5",
        holds="frames, positions, probe, object, mask",
    ),
    "ptychodus NPZ": Format(
        container=NPZ,
        signatures=_entries_of_any("patterns indexes", "probe_position_x_m probe_position_y_m"),
        reader="ptycho.io.readers.ptychodus:read_npz",
        holds="frames, positions, probe, object, mask",
    ),
    "cdtools result": Format(
        container=HDF5,
        signatures=_entries_of_any("translations obj_basis probe"),
        reader="ptycho.io.readers.cdtools:read",
        holds="positions, probe, object",
    ),
    "PtyLab": Format(
        container=HDF5,
        signatures=_entries_of_any("ptychogram encoder", "probe object encoder wavelength"),
        reader="ptycho.io.readers.ptylab:read",
        holds="frames, positions, probe, object",
    ),
    "tike NPZ": Format(
        container=NPZ,
        signatures=_entries_of_any("data scan probe"),
        reader="ptycho.io.readers.tike:read_npz",
        holds="frames, positions, probe",
    ),
    "tike HDF5": Format(
        container=HDF5,
        signatures=_entries_of_any("data scan probe"),
        reader="ptycho.io.readers.tike:read_hdf5",
        holds="frames, positions, probe",
    ),
    "Dectris master": Format(
        container=HDF5,
        signatures=_entries_of_any(
            "entry/data/data_000001 entry/instrument/detector",
            "entry/data/data_000000 entry/instrument/detector",
            "entry/data/data entry/instrument/detector entry/instrument/detector/detectorSpecific",
        ),
        reader="ptycho.io.readers.eiger:read",
        holds="frames, mask",
        extra="compressed",
    ),
    "PtyREX reconstruction": Format(
        container=HDF5,
        signatures=_entries_of_any(
            "entry_1/process_1/output_1/probe_modulus entry_1/process_1/output_1/probe_phase"
        ),
        reader="ptycho.io.readers.ptyrex:read",
        holds="probe",
    ),
    **{
        name: Format(
            container=HDF5,
            signatures=_entries_of_any(*preset.signatures),
            reader=partial(read_preset, name),
            holds=preset.holds,
            extra=preset.extra,
        )
        for name, preset in PRESETS.items()
    },
    "MATLAB 5": Format(
        container=MAT5,
        reader="ptycho.io.readers.matlab:read_5",
        holds="frames, positions, probe, object, mask",
    ),
    "fold_slice": Format(
        container=HDF5,
        signatures=_entries_of_any("dp", "ppX ppY"),
        reader="ptycho.io.readers.fold_slice:read",
        holds="frames, positions",
    ),
    "HyperSpy": Format(
        container=HDF5,
        signatures=_entries_of_any("Experiments"),
        reader="ptycho.io.readers.hyperspy:read",
        holds="frames, raster",
    ),
    "EMD (Velox, Prismatic, older py4DSTEM)": Format(
        container=HDF5,
        signatures=_entries_of_any("Data/Image", "4DSTEM_experiment", "4DSTEM_simulation"),
        reader="ptycho.io.readers.emd:read",
        holds="frames, raster",
    ),
    "EMD": Format(container=EMD, reader="ptycho.io.readers.emd:read", holds="frames, raster"),
    "Merlin": Format(container=MIB, reader="ptycho.io.readers.merlin:read", holds="frames, raster"),
    "EMPAD": Format(container=EMPAD, reader="ptycho.io.readers.empad:read", holds="frames, raster"),
    "DigitalMicrograph": Format(
        container=DM, reader="ptycho.io.readers.dm:read", holds="frames, raster"
    ),
    "MRC": Format(container=MRC, reader="ptycho.io.readers.mrc:read", holds="frames", extra="em"),
    "blockfile": Format(
        container=BLO, reader="ptycho.io.readers.blockfile:read", holds="frames, raster"
    ),
    "NPY": Format(
        container=NPY, reader="ptycho.io.readers.arrays:read", holds="frames or positions"
    ),
    "NPZ with frames only": Format(
        container=NPZ,
        signatures=_entries_of_any(
            "patterns", "frames", "data", "dp", "intensity", "intensities", "arr_0"
        ),
        reader="ptycho.io.readers.arrays:read_npz",
        holds="frames",
    ),
    "TIFF": Format(container=TIFF, reader="ptycho.io.readers.tiff:read", holds="frames"),
    "folder of TIFF files": Format(
        container=TIFF_FOLDER, reader="ptycho.io.readers.tiff:read_folder", holds="frames"
    ),
    "Zarr": Format(
        container=ZARR,
        reader="ptycho.io.readers.zarr_store:read",
        holds="frames, positions, probe, object, mask",
        extra="zarr",
    ),
    "text positions": Format(
        container=TEXT, reader="ptycho.io.readers.text_positions:read", holds="positions"
    ),
}
"""Every format that is known, by name. A row added here, or by a script at run time, is read by
every command; of several rows that fit a file, the one with the most entries is taken."""


def markdown_table() -> str:
    """Return the formats as the table of docs/FILE_FORMATS.md."""
    lines = ["| format | file | holds | recognised by | needs |", "|---|---|---|---|---|"]
    for name, row in FORMATS.items():
        signs = [" ".join(f"`{entry}`" for entry in sorted(s)) for s in row.signatures if s]
        known = " or ".join(signs) or "its first bytes or name"
        needs = f"`ptycho[{row.extra}]`" if row.extra else ""
        lines.append(f"| {name} | {row.container.name} | {row.holds} | {known} | {needs} |")
    return "\n".join(lines) + "\n"
