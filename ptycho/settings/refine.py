"""The settings of the hand-over to pty-chi.

As in `ptycho.settings.config`: a frozen dataclass, no behaviour.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ptycho.settings.base import also
from ptycho.settings.config import ConsoleConfig, Measurement, at_least, at_most


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineConfig(ConsoleConfig):
    """Let pty-chi go on from a reconstruction; needs the extra package ptycho[refine]."""

    reconstruction: Path = also(must_exist="reconstruction")
    """Output folder of a reconstruction, or its reconstruction.npz."""

    test_data: Path = also(must_exist="scan")
    """The scan it was made from."""

    output_dir: Path = also()
    """Folder for the refined object, its pictures and its metrics."""

    engine: Literal["lsqml", "rpie"] = "lsqml"
    """lsqml (least squares, maximum likelihood) or rpie."""

    epochs: int | None = None
    """Passes over all frames; none, or auto, goes on while pixels held out of every correction are
    predicted better, and takes the best."""

    refine_probe: bool = False
    """Correct the probe along with the object."""

    refine_positions: bool = False
    """Correct the positions along with the object."""

    batch_size: int | None = None
    """Frames corrected together; none takes 16, for rpie up to 32 as far as their probes leave each
    other room."""

    scan: int | None = None
    """Which scan of a file that holds several (its scan_index)."""

    measurement: Measurement | None = None
    """What the frames of the file are; none believes the file."""

    seed: int = 0
    """Of the order of the frames and of the pixels held out; that of the reconstruction keeps the
    same pixels unseen."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU when there is one."""

    threads: int | None = None
    """CPU threads; none leaves the choice to PyTorch."""

    comparison_plot: bool = False
    """Also draw the result beside the truth, where the scan file has one."""

    dry_run: bool = False
    """Tell what would happen and how long it would take, having tried a small part; write nothing.
    """

    report: bool = True
    """Leave a page of the run, report.html, in the output folder."""

    def __post_init__(self) -> None:
        ConsoleConfig.__post_init__(self)
        at_least(self, 1, "epochs", "batch_size", "threads")
        at_least(self, 0, "seed")
        at_most(self, 2**63 - 1, "seed")
