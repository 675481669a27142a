"""What a page states about the origin of a run."""

from ptycho.report.provenance import downloads_of, summary_of, warnings_of
from ptycho.runs.folder import RunFolder


def run(tmp_path, **more):
    known = {"settings": {}, "finished": True, "arrays": {}, "picture": {}} | more
    return RunFolder(path=tmp_path, kind="train", version="1.2", **known)


def test_each_warning_is_listed_once(tmp_path):
    log = ("2026-01-01 00:00:00 WARNING health: the loss rises",
           "2026-01-01 00:00:01 WARNING 3 frames contain no photons")  # fmt: skip
    found = warnings_of(run(tmp_path, log=log, findings=((2, "the loss rises"),)))
    assert found == ["Epoch 2: the loss rises", "3 frames contain no photons"]


def test_a_finished_training_that_changed_nothing_is_a_warning(tmp_path):
    epochs = ({"epoch": 1, "val_loss": 1.0}, {"epoch": 2, "val_loss": 0.999})
    (warning,) = warnings_of(run(tmp_path, epochs=epochs))
    assert "changed almost nothing" in warning
    assert warnings_of(run(tmp_path, epochs=epochs, finished=False)) == []


def test_the_summary_without_a_scan(tmp_path):
    settings = {"network": "unet", "seed": 3, "sampling": None}
    assert summary_of(run(tmp_path, settings=settings), None) == [
        ("Folder", str(tmp_path)), ("State", "finished"), ("Network", "unet"), ("Seed", "3"),
        ("Versions", "ptycho 1.2"),
    ]  # fmt: skip


def test_small_files_travel_along(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.png").write_bytes(b"0" * 2_000_000)
    (tmp_path / "c.npz").write_bytes(b"0")
    ((name, size, address),) = downloads_of(run(tmp_path))
    assert (name, size) == ("a.json", "0.0 kB")
    assert address == "data:application/json;base64,e30="
