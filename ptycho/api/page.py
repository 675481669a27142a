"""What a run leaves for its page: the part of the scan it used, and the page itself.

Data flow: ... -> object -> metrics -> [folder of a run -> report].
"""

import logging
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ptycho import __version__
from ptycho.api.components import Members
from ptycho.api.grouping import probe_diameter
from ptycho.errors import PtychoError
from ptycho.io.atomic import file_checksum
from ptycho.runs.folder import Selection, write_selection
from ptycho.scan.raw_data import RawData

log = logging.getLogger(__name__)


def leave_page(folder: Path) -> None:
    """Write `report.html` to the folder of a run whose results are written.

    A page that cannot be made costs a warning, never the run: the files it is made from remain.

    Args:
        folder: of the run.
    """
    try:
        from ptycho.report.page import write_page  # Bokeh takes a second: after the results

        log.info("%s: open it in a browser", write_page(folder))
    except (PtychoError, OSError, ImportError, MemoryError) as problem:
        # A damaged older file, a full disk, an installation without Bokeh, a scan too large.
        log.warning(
            "%s: no report.html: %s; the results are complete, `ptycho report %s` tries again",
            folder, problem or type(problem).__name__, folder,
        )  # fmt: skip


def keep_selection(folder: Path, raw: RawData, members: Members, *, data: Path | None) -> None:
    """Write which part of the scan a run uses, so that its page can be made from the folder.

    Args:
        folder: of the run.
        raw: the scan.
        members: frame indices, one row per group.
        data: file of the scan; None if it has none.

    Raises:
        OSError: If the scan cannot be read or the folder cannot be written.
    """
    about = {
        "n_frames": raw.n_frames,
        "frame_size": raw.frame_size,
        "photons_per_frame": raw.photons_per_frame(),
        "pixel_size_m": raw.pixel_size_m,
        "probe_diameter": probe_diameter(raw),
        "versions": {
            "ptycho": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": version("torch"),
        },
    }
    if data is not None:
        about |= {
            "data": str(data.absolute()),
            "bytes": data.stat().st_size,
            "sha256": file_checksum(data),
        }
    write_selection(folder, Selection(
        positions=raw.positions, groups=members, scan_index=raw.scan_index, probe=raw.probe,
    ), about)  # fmt: skip
