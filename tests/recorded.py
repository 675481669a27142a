"""Runs recorded by hand: finished, or broken off by an error."""

import numpy as np

from ptycho.io.npz import write_npz
from ptycho.runs import begin

SETTINGS = {"test_data": "scan.npz", "seed": 3, "sampling": None, "output_dir": "out"}


def begun(folder, kind="reconstruct", **changes):
    return begin(folder, **{"kind": kind, "settings": SETTINGS} | changes)


def finished(folder, kind="reconstruct", results=None, **changes):
    """The folder of a finished run with one result file."""
    with begun(folder, kind, **changes) as run:
        if kind == "train":
            (folder / "model.safetensors").write_text("weights")
        else:
            write_npz(folder / "reconstruction.npz", {"object": np.ones((2, 2), np.complex64)})
        run.finish(results)
    return folder


def broken_off(problem, context, work=lambda run: None):
    """Raise an error in the block of a run that has done some work."""
    with context as run:
        work(run)
        raise problem


def noted(run):
    """The first epoch of a training has ended."""
    run.note({"epoch": 1, "train_loss": 0.5})


def names(folder):
    return sorted(path.name for path in folder.iterdir())
