"""The viewer without a browser: what it lists, draws, compares and refuses; it never writes."""

import asyncio
import http.client
import json
import os
import threading

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.models.plots import Plot
from run_folders import SIDE, an_object, one_more_epoch, reconstruction, training
from tornado.ioloop import IOLoop

from ptycho.commands.cli import main
from ptycho.errors import DataError
from ptycho.io.npz import write_npz
from ptycho.view.application import Viewer, application, page_finder
from ptycho.view.catalogue import Catalogue
from ptycho.view.server import start_server
from ptycho.view.table import METRICS, Filter, as_columns, rows_of


@pytest.fixture
def home(tmp_path):
    """Three runs: two reconstructions, one below another folder, and a training that goes on."""
    root = tmp_path / "runs"
    reconstruction(root / "first", residual=0.01, psnr=30.0)
    reconstruction(root / "deep" / "second", residual=0.05, psnr=20.0, seed=7, turn=1.0, bump=0.5)
    training(root / "learning")
    (root / "first" / "report.html").write_text("<p>the page of the first</p>")
    return root


def listed(root, **chosen):
    catalogue = Catalogue(root)
    catalogue.refresh()
    return {row["run"] for row in rows_of(catalogue.entries.values(), Filter(**chosen))}


def stamps(root):
    return {str(path): path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}


# What it lists


def test_all_runs_are_found_with_what_they_have_reached(home):
    catalogue = Catalogue(home)
    assert catalogue.refresh()
    rows = {row["run"]: row for row in rows_of(catalogue.entries.values(), Filter())}
    assert set(rows) == {"first", "deep/second", "learning"}
    assert rows["first"]["state"] == "finished"
    assert rows["first"]["phase PSNR (dB)"] == 30.0
    assert rows["deep/second"]["detector residual"] == 0.05
    learning = rows["learning"]
    assert (learning["kind"], learning["state"]) == ("train", "running")
    assert (learning["epochs"], learning["best loss"]) == (2.0, 0.5)
    assert learning["data"] == "scan.npz"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, {"first", "deep/second", "learning"}),
        ({"text": "SECOND"}, {"deep/second"}),
        ({"text": "reconstruct finished"}, {"first", "deep/second"}),
        ({"kind": "train"}, {"learning"}),
        ({"metric": "detector residual", "most": 0.02}, {"first"}),
        ({"metric": "phase PSNR (dB)", "least": 20.0}, {"first", "deep/second"}),
        ({"metric": "phase PSNR (dB)", "least": 20.1, "most": 29.0}, set()),
        ({"metric": "phase PSNR (dB)"}, {"first", "deep/second", "learning"}),
    ],
)
def test_filters_by_hand(home, chosen, expected):
    assert listed(home, **chosen) == expected


def test_what_is_not_known_is_nan_in_the_columns(home):
    catalogue = Catalogue(home)
    catalogue.refresh()
    columns = as_columns(rows_of(catalogue.entries.values(), Filter(kind="train")))
    assert np.isnan(columns["phase PSNR (dB)"]).all()
    assert len(columns["run"]) == 1
    assert set(METRICS) < set(columns)


def test_a_run_that_appears_or_goes_on_is_noticed_and_nothing_else(home):
    catalogue = Catalogue(home)
    catalogue.refresh()
    assert not catalogue.refresh()
    one_more_epoch(home / "learning", 3)
    assert catalogue.refresh()
    assert catalogue.entries["learning"].numbers()["epochs"] == 3
    reconstruction(home / "new")
    assert catalogue.refresh()
    assert "new" in catalogue.entries


def test_an_unfinished_run_that_is_silent_is_not_running(home):
    long_ago = 1.6e9
    for path in (home / "learning").rglob("*"):
        os.utime(path, (long_ago, long_ago))
    catalogue = Catalogue(home)
    catalogue.refresh()
    assert catalogue.entries["learning"].state() == "not finished"


@pytest.mark.parametrize(
    "metrics",
    [
        {"object": 3},
        {"trust": {"samples": 2}},
        {"detector_residual": {"a": 1}},
        {"free_residual": [1.0, 2.0]},
        {"free_residual": [1.0, 2.0], "sweeps": 9},
        {"free_residual": ["x"], "sweeps": 1},
    ],
    ids=str,
)
def test_strange_numbers_of_one_run_leave_the_list_to_the_others(home, metrics):
    (home / "first" / "metrics.json").write_text(json.dumps(metrics))
    viewer = Viewer(Document(), home)
    assert sorted(viewer.source.data["run"]) == ["deep/second", "first", "learning"]
    viewer.open("first")
    viewer.open("deep/second")
    assert viewer.panel is not None


@pytest.mark.parametrize("name", ["metrics.json", "reconstruction.npz", "run.json"])
def test_a_damaged_run_is_told_and_the_others_stand(home, name):
    path = home / "first" / name
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2])
    catalogue = Catalogue(home)
    catalogue.refresh()
    assert catalogue.entries["first"].state() == "damaged"
    assert name in catalogue.entries["first"].fault
    assert catalogue.entries["deep/second"].state() == "finished"
    viewer = Viewer(Document(), home)
    viewer.open("first")
    assert name in viewer.content.children[0].text


def test_numbers_of_another_version_cost_a_line(home):
    (home / "first/metrics.json").write_text('{"object": {"another": 1}}')
    viewer = Viewer(Document(), home)
    viewer.open("first")
    assert "cannot be shown" in viewer.content.children[0].text


# What it draws


def images(viewer):
    """The pictures on the page by the first word of their titles."""
    found = {}
    for plot in plots_of(viewer):
        for renderer in plot.renderers:
            if "image" in renderer.data_source.data:
                found[plot.title.text] = renderer.data_source.data["image"][0]
    return found


def plots_of(viewer):
    return list(viewer.content.select({"type": Plot}))


def test_an_opened_run_shows_its_object(home):
    viewer = Viewer(Document(), home)
    viewer.open("first")
    shown = images(viewer)
    expected = np.abs(an_object()["object"])
    assert shown["Amplitude"].shape == (SIDE, SIDE)
    np.testing.assert_allclose(shown["Amplitude"], expected, atol=1e-4)  # 16 bits


def test_an_open_training_follows_and_keeps_zoom_and_colours(home):
    viewer = Viewer(Document(), home)
    viewer.open("learning")
    panel, before = viewer.panel, images(viewer)["Amplitude"]
    panel.linked.x_range.update(start=25, end=30)
    panel.views["phase"].limits.value = (-0.1, 0.1)
    write_npz(
        home / "learning/logs/current.npz",
        an_object() | {"object": 2 * an_object()["object"], "epoch": np.int64(3)},
    )
    one_line = {"epoch": 3, "seconds": 3.0, "train_loss": 0.3}
    with (home / "learning/history.jsonl").open("a") as file:
        file.write(json.dumps(one_line) + "\n")
    viewer.look()
    assert viewer.panel is panel
    assert (panel.linked.x_range.start, panel.linked.x_range.end) == (25, 30)
    assert tuple(panel.views["phase"].limits.value) == (-0.1, 0.1)
    np.testing.assert_allclose(images(viewer)["Amplitude"], 2 * before, atol=1e-3)
    assert panel.views["amplitude"].limits.value[1] > 1.5  # nobody chose it, so it follows
    assert "<td>3</td>" in panel.about.text


def test_two_runs_differ_by_the_bump_alone(home):
    """The second object is turned by 1 rad and has 0.5 rad more on 4 x 4 pixels."""
    viewer = Viewer(Document(), home)
    viewer.open("first", "deep/second")
    shown = images(viewer)
    assert {"Amplitude, first", "Amplitude, second", "Phase, first", "Phase, second",
            "Difference of the phase", "Difference of the amplitude"} == set(shown)  # fmt: skip
    difference = shown["Difference of the phase"]
    peak = np.unravel_index(np.nanargmax(difference), difference.shape)
    corner = SIDE - difference.shape[0]
    assert all(16 - corner <= place <= 23 for place in peak)
    assert 0.3 < np.nanmax(difference) < 0.6
    assert np.nanmedian(np.abs(difference)) < 0.05
    words = " ".join(div.text for div in viewer.content.children if hasattr(div, "text"))
    words += (
        viewer.content.children[0].children[0].text + viewer.content.children[0].children[2].text
    )
    assert "Removed before the subtraction" in words
    assert "seed" in words  # a setting that differs
    linked = {id(plot.x_range) for plot in plots_of(viewer) if "," in plot.title.text}
    assert len(linked) == 1


def test_objects_without_a_common_part_are_shown_without_a_difference(home):
    reconstruction(home / "far", origin=(900.0, 900.0))
    viewer = Viewer(Document(), home)
    viewer.open("first", "far")
    assert not any("Difference" in title for title in images(viewer))
    assert "No difference is shown" in viewer.content.children[0].children[0].text


def test_names_of_runs_are_words_never_markup(home):
    name = "<img src=x onerror=alert(1)>"
    reconstruction(home / name)
    viewer = Viewer(Document(), home)
    viewer.open(name)
    assert "<img" not in viewer.title.text
    assert "&lt;img" in viewer.title.text


def test_choosing_rows_opens_and_compares(home):
    viewer = Viewer(Document(), home)
    names = viewer.source.data["run"]
    viewer.source.selected.indices = [names.index("first")]
    assert viewer.opened == ("first", "")
    assert viewer.other.visible
    viewer.other.value = "learning"
    assert viewer.opened == ("first", "learning")
    viewer.kind.value = "train"
    assert viewer.source.data["run"] == ["learning"]
    assert viewer.opened == ("first", "learning")  # a filter closes nothing


# What it refuses


@pytest.fixture
def served(home):
    """The address of a running viewer, (host, port)."""
    running, started = {}, threading.Event()

    def serve():
        asyncio.set_event_loop(asyncio.new_event_loop())
        loop = IOLoop.current()
        running["server"], running["address"] = start_server(
            application(home), page_finder(home), 0
        )
        running["loop"] = loop
        loop.add_callback(started.set)
        loop.start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert started.wait(30)
    host, port = running["address"].removeprefix("http://").rstrip("/").split(":")
    yield host, int(port)
    running["loop"].add_callback(running["loop"].stop)
    thread.join(30)


def answer(served, path="/", method="GET", **headers):
    connection = http.client.HTTPConnection(*served, timeout=30)
    words = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers={"Host": f"{served[0]}:{served[1]}"} | words)
    found = connection.getresponse()
    return found.status, dict(found.getheaders()), found.read()


def test_it_listens_on_the_loopback_address_only(served):
    assert served[0] == "127.0.0.1"
    status, headers, body = answer(served)
    assert status == 200
    assert b"Runs in runs" in body
    assert b"http://" not in body.replace(b"http://www.w3.org", b"")  # nothing from elsewhere
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


UPGRADE = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


@pytest.mark.parametrize(
    "path", ["/", "/ws", "/page/first", "/autoload.js", "/static/js/bokeh.min.js"]
)
def test_other_names_for_this_machine_are_refused(served, path):
    assert answer(served, path, Host=f"evil.example:{served[1]}")[0] == 403
    assert answer(served, path, Host="127.0.0.1:1")[0] == 403


@pytest.mark.parametrize("path", ["/", "/ws", "/page/first", "/autoload.js"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1"])
def test_requests_of_other_sites_are_refused(served, path, origin):
    status, headers, _ = answer(served, path, Origin=origin, **UPGRADE)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in headers


def test_a_script_or_frame_of_another_site_is_refused_and_a_link_is_not(served):
    other = {"Sec_Fetch_Site": "cross-site"}
    assert answer(served, "/autoload.js", Sec_Fetch_Mode="no-cors", **other)[0] == 403
    assert answer(served, "/page/first", Sec_Fetch_Mode="navigate", **other)[0] == 403
    assert answer(served, "/", Sec_Fetch_Mode="navigate", **other)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading_is_answered(served, method):
    assert answer(served, "/", method=method)[0] == 405


def test_the_page_of_a_run_is_handed_out_shut_in(served):
    status, headers, body = answer(served, "/page/first")
    assert (status, body) == (200, b"<p>the page of the first</p>")
    assert headers["Content-Security-Policy"].startswith("sandbox allow-scripts")


@pytest.mark.parametrize(
    "path",
    [
        "/page/../secret", "/page/..%2Fsecret", "/page/first/../../secret", "/page/%2e%2e/secret",
        "/page//etc", "/page/first%00", "/page/deep", "/page/", "/page/link", "/page/deep/second",
        "/static/../../../../etc/passwd", "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    ],
)  # fmt: skip
def test_nothing_outside_the_list_is_handed_out(home, served, path):
    secret = home.parent / "secret"
    reconstruction(secret)
    (secret / "report.html").write_text("secret")
    (home / "link").symlink_to(secret)
    (home / "deep/second/report.html").symlink_to(secret / "report.html")
    status, _, body = answer(served, path)
    assert status in (400, 403, 404)
    assert b"secret" not in body


def test_links_out_of_the_folder_are_not_followed(home):
    secret = reconstruction(home.parent / "secret")
    (home / "link").symlink_to(secret)
    (home / "first/metrics.json").unlink()
    (home / "first/metrics.json").symlink_to(secret / "metrics.json")
    catalogue = Catalogue(home)
    catalogue.refresh()
    assert "link" not in catalogue.entries
    assert catalogue.entries["first"].fault == "metrics.json lies outside its folder"
    for name in ("link", "../secret", "first"):
        with pytest.raises(DataError):
            catalogue.open(name)


def test_looking_writes_nothing(home, served):
    before = stamps(home)
    answer(served)
    answer(served, "/page/first")
    viewer = Viewer(Document(), home)
    viewer.open("first", "deep/second")
    viewer.look()
    assert stamps(home) == before


def test_a_taken_port_and_a_missing_folder_cost_one_line(home, served, capsys):
    assert main(["view", str(home), "--no_open", "--port", str(served[1])]) == 2
    assert f"port: {served[1]} is taken" in capsys.readouterr().err
    assert main(["view", str(home / "nowhere"), "--no_open"]) == 2
    assert "nothing at" in capsys.readouterr().err
    assert main(["view", str(home / "first/metrics.json"), "--no_open"]) == 2
    assert "no folder; expected one that holds runs" in capsys.readouterr().err
