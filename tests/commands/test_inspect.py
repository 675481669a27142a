"""`ptycho inspect`: what it prints, as text and JSON, its picture, its mask, its trial."""

import json

import h5py
import numpy as np
import pytest
from skimage.io import imread

from ptycho.api.loading import load
from ptycho.api.simulation import simulate
from ptycho.commands import cli
from ptycho.scan.raw_data import RawData


@pytest.fixture(scope="module")
def sound():
    return simulate(n_frames=100, N=32, step=2.5, jitter=0.4, probe_fwhm=9.0, photons=1e5, seed=3,
                    amplitude_image="leaves", phase_image="clouds")  # fmt: skip


@pytest.fixture
def scan(sound, tmp_path):
    sound.save(tmp_path / "scan.npz")
    return tmp_path / "scan.npz"


def ptycho(*words):
    return cli.main([str(word) for word in words])


def test_a_sound_scan_is_described_and_nothing_else_is_said(scan, capsys):
    assert ptycho("inspect", scan) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{scan}\n")
    for text in ("format     PtychoPINN NPZ", "frames     100 of 32 x 32", "overlap ", "step 2."):
        assert text in out
    assert out.rstrip().endswith("nothing suspicious found")


def test_json_holds_numbers_and_findings_of_each_file(sound, scan, tmp_path, capsys):
    frames = np.asarray(sound.frames[:]).copy()
    frames[40:44] = 0
    RawData(frames=frames, measurement="counts", xcoords=sound.xcoords, ycoords=sound.ycoords,
            probe=sound.probe).save(tmp_path / "lost.npz")  # fmt: skip
    assert ptycho("inspect", scan, tmp_path / "lost.npz", "--json", "--no_trial", "--quiet") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["n_frames"], first["findings"]) == (100, [])
    assert first["step"] == pytest.approx(2.5, abs=0.5)
    (found,) = second["findings"]
    assert (found["name"], found["frames"]) == ("blank_frames", [40, 41, 42, 43])


def test_what_an_inspection_names_is_what_a_command_leaves_out(sound, tmp_path, capsys):
    frames = np.asarray(sound.frames[:]).copy()
    frames[40:44] = 0
    path = tmp_path / "lost.npz"
    RawData(frames=frames, measurement="counts", xcoords=sound.xcoords, ycoords=sound.ycoords,
            probe=sound.probe).save(path)  # fmt: skip
    out = tmp_path / "out.npz"
    assert ptycho("import", path, out, "--skip_frames", "found") == 0
    kept = RawData.from_file(out)
    assert kept.n_frames == 96
    np.testing.assert_allclose(kept.positions, np.delete(sound.positions, range(40, 44), axis=0))
    err = capsys.readouterr().err
    assert "4 of 100 frames left out" in err


def test_a_picture_and_the_proposed_mask(sound, tmp_path):
    frames = np.asarray(sound.frames[:]).copy()
    frames[:, :, 18:20] = 0
    path, mask = tmp_path / "gap.npz", tmp_path / "mask.npy"
    RawData(frames=frames, measurement="counts", xcoords=sound.xcoords, ycoords=sound.ycoords,
            probe=sound.probe).save(path)  # fmt: skip
    picture = tmp_path / "inspected.png"
    words = ["inspect", path, "--picture", picture, "--write_mask", mask, "--no_trial"]
    assert ptycho(*words) == 0
    assert imread(picture).shape[0] > 1000
    valid = np.load(mask)
    assert not valid[16, 18:20].any()
    assert valid[:, [17, 20]].all()
    assert ptycho(*words) == 2  # the mask exists


def test_a_trial_names_exchanged_axes(sound, tmp_path, capsys):
    path = tmp_path / "swapped.npz"
    RawData(frames=sound.frames, measurement="counts", xcoords=sound.ycoords,
            ycoords=sound.xcoords, probe=sound.probe).save(path)  # fmt: skip
    assert ptycho("inspect", path, "--quiet") == 0
    out = capsys.readouterr().out
    assert "of what varies from frame to frame is unexplained" in out
    assert "--positions swap leaves" in out


def test_parts_of_one_scan_are_inspected_together(sound, tmp_path, capsys):
    np.save(tmp_path / "frames.npy", np.asarray(sound.frames[:]))
    np.save(tmp_path / "places.npy", sound.positions)
    words = ["inspect", tmp_path / "frames.npy", tmp_path / "places.npy", "--no_trial", "--json"]
    assert ptycho(*words, "--positions_unit", "px") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_frames"], found["probe_known"]) == (100, False)
    assert found["rows"][0] == pytest.approx(sound.ycoords.min())


def test_frames_in_several_files_are_one_scan(sound, tmp_path, capsys):
    frames = np.asarray(sound.frames[:])
    names = [tmp_path / name for name in ("a.npy", "b.npy", "places.npy")]
    for name, array in zip(names, (frames[:30], frames[30:], sound.positions), strict=True):
        np.save(name, array)
    words = ["--positions_unit", "px", "--no_trial", "--json", "--quiet"]
    assert ptycho("inspect", *names, *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_frames"], found["findings"]) == (100, [])
    loaded = load(names, positions_unit="px")
    np.testing.assert_array_equal(loaded.frames[:], frames)
    np.testing.assert_allclose(loaded.positions, sound.positions)
    np.save(names[1], frames[30:, :16, :16])
    assert ptycho("inspect", *names, *words) == 2
    err = capsys.readouterr().err
    assert "NPY of 32 x 32 and NPY of 16 x 16; expected frames of one size" in err
    assert err.count("\n") == 1


def test_paths_of_an_unknown_file_are_given_one_by_one(sound, tmp_path, capsys):
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        file["camera/stack"] = np.asarray(sound.frames[:])
        file["motor/h"], file["motor/v"] = 0.5 * sound.xcoords, -0.5 * sound.ycoords
    assert ptycho("inspect", path, "--no_trial") == 2
    assert "--map frames=/PATH" in capsys.readouterr().err
    words = ["--map", "frames=/camera/stack", "--map", "x=/motor/h,unit=um",
             "--map=y=/motor/v,unit=um,scale=-1", "--object_pixel_nm", "500"]  # fmt: skip
    assert ptycho("inspect", path, "--no_trial", "--json", *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["columns"] == pytest.approx([sound.xcoords.min(), sound.xcoords.max()])
    assert found["rows"] == pytest.approx([sound.ycoords.min(), sound.ycoords.max()])


def test_a_raster_is_given_by_two_numbers(sound, tmp_path, capsys):
    np.save(tmp_path / "stack.npy", np.asarray(sound.frames[:]))
    words = ["inspect", tmp_path / "stack.npy", "--scan_shape", 10, 10, "--step_px", "2.5"]
    assert ptycho(*words, "--no_trial", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == [0.0, 22.5]
    assert ptycho(*words[:-2], "--no_trial") == 0
    out = capsys.readouterr().out
    assert "error: raster of 10 x 10 without a step" in out
    assert "rows 0 to 9, columns 0 to 9 steps" in out
    skipping = ["--skip_frames", "0-9", "--no_trial", "--json"]
    assert ptycho(*words, *skipping) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == [2.5, 22.5]


def in_metres(sound, path, frames=None):
    """Frames with positions of 10 nm per pixel, and nothing that states the pixel."""
    with h5py.File(path, "w") as file:
        file["frames"] = np.asarray(sound.frames[:]) if frames is None else frames
        file["x"], file["y"] = 1e-8 * sound.xcoords, 1e-8 * sound.ycoords
    return [path, "--map", "frames=/frames", "--map", "x=/x,unit=m", "--map", "y=/y,unit=m"]


def test_positions_in_metres_without_a_geometry_are_described(sound, tmp_path, capsys):
    frames = np.asarray(sound.frames[:]).copy()
    frames[40:44] = 0
    words = in_metres(sound, tmp_path / "lab.h5", frames)
    picture = tmp_path / "seen.png"
    assert ptycho("inspect", *words, "--picture", picture, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_frames"], found["positions_unit"]) == (100, "m")
    assert found["rows"][1] == pytest.approx(1e-8 * sound.ycoords.max())
    assert [(f["name"], f["severity"]) for f in found["findings"]] == [
        ("unknown_pixel", "error"), ("blank_frames", "warning")
    ]  # fmt: skip
    assert found["findings"][1]["frames"] == [40, 41, 42, 43]
    assert picture.exists()
    assert ptycho("inspect", *words) == 0
    out = capsys.readouterr().out
    assert "geometry   unknown\n" in out
    assert "error: positions in m, but the size of an object pixel is unknown" in out
    for flag in ("--energy_kev", "--distance_m", "--detector_pixel_um", "--object_pixel_nm"):
        assert flag in out
    assert ptycho("import", *words[:1], tmp_path / "out.npz", *words[1:]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("ptycho import: ")
    assert ptycho("inspect", *words, "--object_pixel_nm", 10, "--no_trial", "--json") == 0
    placed = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(np.multiply(placed["rows"], 1e-8), found["rows"])


def test_frames_without_positions_are_described(sound, tmp_path, capsys):
    np.save(tmp_path / "stack.npy", np.asarray(sound.frames[:]))
    assert ptycho("inspect", tmp_path / "stack.npy") == 0
    out = capsys.readouterr().out
    assert "positions  unknown" in out
    assert "frames     100 of 32 x 32" in out
    assert "error: no positions in this NPY file" in out
    for flag in ("--scan_shape", "--step_nm", "--join"):
        assert flag in out
    assert ptycho("inspect", tmp_path / "stack.npy", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["step"]) == (None, None)


@pytest.mark.parametrize("located", [True, False])
def test_frames_are_left_out_of_an_inspection(sound, tmp_path, capsys, located):
    frames = np.asarray(sound.frames[:]).copy()
    frames[40:44] = 0
    words = in_metres(sound, tmp_path / "lab.h5", frames)
    words += ["--object_pixel_nm", 10] * located + ["--no_trial", "--json"]
    for skipped, n, blank in (("found", 96, []), ("0-40", 59, [[0, 1, 2]])):
        assert ptycho("inspect", *words, "--skip_frames", skipped) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["n_frames"] == n
        named = [f["frames"] for f in found["findings"] if f["name"] == "blank_frames"]
        assert named == blank


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frames", "flip"], "frames: 'flip'; expected some of transpose"),
        (["--positions", "swap,up"], "positions: 'up'"),
        (["--map", "volume=/x"], "map: 'volume=/x'; expected NAME=/PATH"),
        (["--map", "x=/x,unit=parsec", "--map", "y=/y", "--map", "frames=/f"], "is none"),
        (["--scan_shape", "12"], "scan_shape: '12'; expected two numbers"),
        (["--skip_frames", "first"], "skip_frames: 'first'; expected numbers"),
        (["--positions_unit", "furlong"], "positions_unit: unit 'furlong'"),
        (["--energy_kev", "8", "--voltage_kv", "300"], "energy_kev and voltage_kv: both given"),
        (["--bin", "3"], "expected a side that 3 divides; set it by --crop 30"),
    ],
)
def test_mistakes_cost_one_line(scan, capsys, words, message):
    assert ptycho("inspect", scan, "--no_trial", "--quiet", *words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
