"""How a run ends: the part of the scan it used, its record, its page.

Data flow: ... -> object -> metrics -> [folder of a run -> report].
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from ptycho.api.components import Members
from ptycho.api.grouping import probe_diameter
from ptycho.errors import PtychoError
from ptycho.learning.model_files import WEIGHTS_FILE
from ptycho.learning.model_folder import general_model
from ptycho.runs import Run, Selection, data_entry, write_selection
from ptycho.scan.raw_data import RawData

log = logging.getLogger(__name__)


def record_scan(run: Run, role: str, raw: RawData, path: Path | None) -> None:
    """Add a scan to the inputs of a run, with the files that are joined with it.

    Args:
        run: that reads the scan.
        role: setting that names the scan, such as test_data.
        raw: the scan.
        path: its file; None if it has none.

    Raises:
        OSError: If the file cannot be read.
    """
    facts: dict[str, Any] = {
        "n_frames": raw.n_frames,
        "frame_size": raw.frame_size,
        "photons_per_frame": raw.photons_per_frame(),
        "pixel_size_m": raw.pixel_size_m,
        "probe_diameter": probe_diameter(raw),
        "skipped": list(raw.skipped),
        "excluded": raw.excluded.document(),
    }
    run.add_data(data_entry(role, path, facts))
    for joined in raw.joined:
        run.add_data(data_entry("join", joined))


def record_model(run: Run, role: str, folder: Path | None) -> None:
    """Add a trained model to the inputs of a run.

    Args:
        run: that uses the model.
        role: setting that names the model, such as model_path.
        folder: of the model; None for the general one.

    Raises:
        OSError: If its weights cannot be read.
    """
    run.add_data(data_entry(role, (folder or general_model()) / WEIGHTS_FILE))


def keep_selection(folder: Path, raw: RawData, members: Members) -> None:
    """Write which part of the scan a run uses, so that its page can be made from the folder.

    Args:
        folder: of the run.
        raw: the scan.
        members: frame indices, one row per group.

    Raises:
        OSError: If the folder cannot be written.
    """
    write_selection(folder, Selection(
        positions=raw.positions, groups=members, scan_index=np.asarray(raw.scan_index),
        probe=raw.probe,
    ))  # fmt: skip


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
