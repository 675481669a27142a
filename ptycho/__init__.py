"""Ptychography with networks that learn from groups of overlapping scan positions.

Read the modules in the order of the data:

    io         a file of any known format becomes one scan
    raw_data   RawData, one scan, checked once; selects groups of its frames
    grouping   scan positions -> groups of overlapping positions, as indices
    dataset    groups and frames -> named batches
    physics    the experiment as equations: window, probe, propagation, intensity
    networks   diffraction frames -> patches of the object
    model      a network followed by the physics
    training   learn the network from the measured frames alone
    inference  a trained model, frames -> patches
    stitching  patches and positions -> one object
    metrics    how good the object is, after the ambiguities are removed
    workflows  one function per command that joins the stages; `ptycho.commands.cli` calls them

Importing this package imports nothing else.
"""

__version__ = "0.1.0"
