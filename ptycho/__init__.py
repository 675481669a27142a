"""Ptychography with networks that learn from groups of overlapping scan positions.

From a file to a figure:

    import ptycho

    scan = ptycho.load("scan.npz")
    result = ptycho.reconstruct(scan)
    result.show()

Each function takes the settings of its command by name (`ptycho reconstruct --help`), returns a
value in memory and writes nothing; `save` writes what the command writes.

The modules in the order of the data:

    io          a file of any known format -> one scan
    scan        RawData, one scan, checked once; batches of its frames
    grouping    scan positions -> groups of overlapping positions, as indices
    physics     the experiment as equations: window, probe, propagation, intensity
    simulation  scans whose true object is known
    networks    diffraction frames -> patches of the object
    learning    a network trained on the measured frames alone
    engines     frames -> the object of the whole scan
    calibration what a scan file may have wrong, found from the frames
    metrics     how good the object is, after the ambiguities are removed
    runs        the record of a run
    report      figures and the page of a run
    api         the functions below
    commands    the same from the command line

Importing this package imports nothing else; its functions load when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptycho.api.calibration import calibrate
    from ptycho.api.evaluation import evaluate
    from ptycho.api.grouping import groups
    from ptycho.api.groups import Groups
    from ptycho.api.loading import load
    from ptycho.api.planning import plan
    from ptycho.api.reconstruction import reconstruct
    from ptycho.api.refinement import refine
    from ptycho.api.result import Result
    from ptycho.api.score import Score
    from ptycho.api.simulation import simulate
    from ptycho.api.trained_model import TrainedModel
    from ptycho.api.training import train
    from ptycho.calibration.value import Calibration
    from ptycho.errors import PtychoError
    from ptycho.scan.raw_data import RawData

__version__ = "0.1.0"
__all__ = [
    "Calibration",
    "Groups",
    "PtychoError",
    "RawData",
    "Result",
    "Score",
    "TrainedModel",
    "__version__",
    "calibrate",
    "evaluate",
    "groups",
    "load",
    "plan",
    "reconstruct",
    "refine",
    "simulate",
    "train",
]

_HOMES = {
    "Calibration": "calibration.value",
    "Groups": "api.groups",
    "PtychoError": "errors",
    "RawData": "scan.raw_data",
    "Result": "api.result",
    "Score": "api.score",
    "TrainedModel": "api.trained_model",
    "calibrate": "api.calibration",
    "evaluate": "api.evaluation",
    "groups": "api.grouping",
    "load": "api.loading",
    "plan": "api.planning",
    "reconstruct": "api.reconstruction",
    "refine": "api.refinement",
    "simulate": "api.simulation",
    "train": "api.training",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ptycho' has no attribute {name!r}")
    return getattr(import_module(f"ptycho.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
