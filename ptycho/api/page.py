"""The page of a run: left by the commands in the end, made again by `ptycho report`.

Way of the data: ... -> object -> metrics -> [folder of a run -> report].
"""

import logging
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ptycho import __version__
from ptycho.api.components import Groups, probe_diameter
from ptycho.errors import PtychoError
from ptycho.runs.folder import Selection, file_checksum, is_run, write_selection
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import save_settings
from ptycho.settings.report import ReportConfig

log = logging.getLogger(__name__)


def run(config: ReportConfig) -> Path:
    """Make the page of a run from its folder.

    Returns:
        The page.

    Raises:
        DataError: If it is no folder of a run, or a file in it is damaged.
    """
    from ptycho.report.page import write_page

    return write_page(config.folder)


def leave_page(
    config: Any,
    raw: RawData | None = None,
    groups: Groups | None = None,
    *,
    folder: Path | None = None,
) -> None:
    """Leave `report.html` in the folder of a run whose results are written.

    A page that cannot be made costs a warning, never the run: what it is made from stays.

    Args:
        config: settings of the run; where its `report` is False, only what a page is made from is
            left.
        raw: the scan; None where the run had none.
        groups: frame indices that the run used, one row per group.
        folder: of the run; None for the `output_dir` of the settings.
    """
    folder = folder or config.output_dir
    try:
        if not is_run(folder):
            save_settings(config, folder)
        if raw is not None and groups is not None:
            keep_selection(folder, config, raw, groups)
        if not config.report:
            return
        from ptycho.report.page import write_page  # Bokeh takes a second: after the results

        log.info("%s: open it in a browser", write_page(folder))
    except (PtychoError, OSError, ImportError, MemoryError) as problem:
        # A damaged older file, a full disk, an installation without Bokeh, a scan too large.
        log.warning(
            "%s: no report.html: %s; the results are complete, `ptycho report %s` tries again",
            folder, problem or type(problem).__name__, folder,
        )  # fmt: skip


def keep_selection(folder: Path, config: Any, raw: RawData, groups: Groups) -> None:
    """Write which part of the scan a run looks at, so that its page can be made from the folder.

    Args:
        folder: of the run.
        config: names the scan: `train_data_file` or `test_data`.
        raw: the scan.
        groups: frame indices, one row per group.

    Raises:
        OSError: If the scan cannot be read or the folder not be written.
    """
    path = getattr(config, "train_data_file", None) or config.test_data
    about = {
        "data": str(path.absolute()),
        "bytes": path.stat().st_size,
        "sha256": file_checksum(path),
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
    write_selection(folder, Selection(
        positions=raw.positions, groups=groups, scan_index=raw.scan_index, probe=raw.probe,
        about=about,
    ))  # fmt: skip
