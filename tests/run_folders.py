"""Folders as runs leave them, written by hand: tiny, and without a training."""

import dataclasses

import numpy as np

from ptycho.io.atomic import write_json
from ptycho.io.npz import write_npz
from ptycho.metrics import compare
from ptycho.report.numbers import metrics_document
from ptycho.runs import Run, begin, headline
from ptycho.runs.folder import RunFolder
from ptycho.runs.journal import FolderJournal
from ptycho.runs.schema import Record, new_record
from ptycho.settings.base import to_dict
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.train import TrainConfig

SIDE = 40


def an_object(turn=0.0, origin=(10.0, 20.0), bump=0.0):
    """Arrays of an object with structure everywhere, turned by some phase, with a bump."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    phase = 0.5 * np.sin(rows / 3.0) * np.cos(cols / 4.0) + 0.3 * np.sin(rows * cols / 90.0)
    phase[18:22, 18:22] += bump
    amplitude = 0.8 + 0.1 * np.cos(rows / 5.0 + cols / 7.0)
    return {
        "object": (amplitude * np.exp(1j * (phase + turn))).astype(np.complex64),
        "coverage": np.ones((SIDE, SIDE), np.float32),
        "origin": np.array(origin),
    }


def reconstruction(folder, *, residual=0.01, psnr=30.0, seed=0, **changes):
    """A finished reconstruction with its numbers."""
    config = InferenceConfig(test_data="scan.npz", output_dir=folder, seed=seed)
    with begin(folder, kind=config.kind, settings=to_dict(config)) as run:
        write_npz(folder / "reconstruction.npz", an_object(**changes))
        obj = an_object()["object"]
        found = compare(an_object(bump=0.1)["object"], obj, np.ones(obj.shape, bool))
        document = metrics_document(found, detector_residual=residual) | {"n_frames": 9}
        document["object"]["phase_psnr_db"] = psnr
        write_json(folder / "metrics.json", document)
        run.finish(headline(config.kind, metrics=document))
    return folder


def begun(folder, config):
    """A run that goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, new_record(config.kind, to_dict(config)))
    run.save()
    return run


def training(folder, epochs=2):
    """A training that goes on."""
    config = TrainConfig(train_data_file="scan.npz", output_dir=folder)
    run = begun(folder, config)
    run.begin()
    for epoch in range(1, epochs + 1):
        one_more_epoch(folder, epoch)
    return folder


def one_more_epoch(folder, epoch, turn=0.0):
    """What a training leaves at the end of an epoch with a picture."""
    loss = 1.0 / epoch
    journal = FolderJournal(folder)
    journal.note({"epoch": epoch, "seconds": 1.0 * epoch, "train_loss": loss})
    journal.picture(an_object(turn) | {"epoch": np.int64(epoch)})


def in_memory(path, kind="train", **known):
    """A run that is nowhere on disk; what is not named is empty, and it is finished."""
    of_record = {field.name for field in dataclasses.fields(Record)}
    record = {"id": "0" * 8, "state": "finished", "settings": {}}
    record |= {name: known.pop(name) for name in of_record & set(known)}
    empty = {"arrays": {}, "picture": {}}
    return RunFolder(path=path, record=Record(kind=kind, **record), **empty | known)
