"""The record of a run: what a command leaves in its folder, and how it is read back.

Data flow: command -> [folder of a run] -> report, viewer, comparison.
"""

from ptycho.runs.data import data_entry
from ptycho.runs.folder import RunFolder, Selection, is_run, read_run, write_selection
from ptycho.runs.record import Run, add_to, begin
from ptycho.runs.results import headline

__all__ = [
    "Run",
    "RunFolder",
    "Selection",
    "add_to",
    "begin",
    "data_entry",
    "headline",
    "is_run",
    "read_run",
    "write_selection",
]
