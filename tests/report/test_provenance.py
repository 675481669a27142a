"""What a page states about the origin of a run."""

from run_folders import in_memory

from ptycho.report.provenance import downloads_of, summary_of, warnings_of


def test_each_warning_is_listed_once(tmp_path):
    logged = ("health: the loss rises", "3 frames contain no photons")
    found = warnings_of(in_memory(tmp_path, warnings=logged, findings=((2, "the loss rises"),)))
    assert found == ["Epoch 2: the loss rises", "3 frames contain no photons"]


def test_a_finished_training_that_changed_nothing_is_a_warning(tmp_path):
    epochs = ({"epoch": 1, "val_loss": 1.0}, {"epoch": 2, "val_loss": 0.999})
    (warning,) = warnings_of(in_memory(tmp_path, epochs=epochs))
    assert "changed almost nothing" in warning
    assert warnings_of(in_memory(tmp_path, epochs=epochs, state="running")) == []


def test_the_error_that_ended_a_run_comes_first(tmp_path):
    run = in_memory(tmp_path, state="failed", error="scan.npz: damaged", warnings=("slow",))
    assert warnings_of(run) == ["The run failed: scan.npz: damaged", "slow"]


def test_the_summary_without_a_scan(tmp_path):
    settings = {"network": "unet", "seed": 3, "sampling": None}
    run = in_memory(tmp_path, settings=settings, versions={"ptycho": "1.2"})
    assert summary_of(run, run) == [
        ("Folder", str(tmp_path)), ("State", "finished"), ("Network", "unet"), ("Seed", "3"),
        ("Versions", "ptycho 1.2"),
    ]  # fmt: skip


def test_small_files_travel_along(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.png").write_bytes(b"0" * 2_000_000)
    (tmp_path / "c.npz").write_bytes(b"0")
    ((name, size, address),) = downloads_of(in_memory(tmp_path))
    assert (name, size) == ("a.json", "0.0 kB")
    assert address == "data:application/json;base64,e30="
