"""The page of a run in a real browser: Chromium without a screen, driven by its own driver."""

import json

import numpy as np
import pytest
from run_folders import begun
from tiny_scan import reconstructed_in_groups

from ptycho.grouping import GroupRule, sample_groups
from ptycho.io.npz import NpzFile, write_npz
from ptycho.metrics import well_covered
from ptycho.report.page import write_page
from ptycho.runs.folder import Selection, read_run, write_selection
from ptycho.scan.raw_data import RawData
from ptycho.settings.reconstruct import InferenceConfig

pytest.importorskip("selenium", reason="selenium is not installed")
from browser import needs_browser, set_window, wait
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = needs_browser
READY = "return Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle"
HELPERS = """
const all = (root) => [...root.querySelectorAll("*")].flatMap(
  (el) => [el, ...(el.shadowRoot ? all(el.shadowRoot) : [])])
window.all = all
window.models = () => [...Bokeh.documents[0]._all_models.values()]
window.model = (type, title) => models().find(
  (m) => m.type == type && (title === undefined || (m.title?.text ?? m.title) == title))
window.pixels = (name) => {
  const canvas = all(document.getElementById(name)).find((el) => el.tagName == "CANVAS")
  const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
  let sum = 0
  for (let i = 0; i < bytes.length; i++) sum = (sum*31 + bytes[i]) % 4294967291
  return sum
}
window.words = (selector) => all(document.querySelector(selector)).filter(
  (el) => el.shadowRoot).map((el) => el.shadowRoot.querySelector(".bk-clearfix")?.innerText)
  .filter(Boolean).join(" ")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return reconstructed_in_groups(tmp_path_factory.mktemp("run"))


@pytest.fixture
def opened(driver, folder):
    """The page, opened anew in a window of 1280 pixels in light colours."""
    return open_page(driver, folder)


def open_page(driver, folder, *, width=1280, scheme="light"):
    set_window(driver, width, scheme)
    driver.get((folder / "report.html").as_uri())
    wait(driver, READY)
    driver.execute_script(HELPERS)
    return driver


def changes(driver, name, script):
    """Return whether the picture of a figure becomes another one after some script."""
    before = driver.execute_script("return pixels(arguments[0])", name)
    driver.execute_script(script)
    wait(driver, "return pixels(arguments[0]) != arguments[1]", name, before)
    return True


def test_no_errors_and_no_requests(driver, folder):
    driver.get("about:blank")
    for kind in ("performance", "browser"):
        driver.get_log(kind)  # forgets what was before
    open_page(driver, folder)
    severe = [entry for entry in driver.get_log("browser") if entry["level"] != "INFO"]
    assert severe == []
    asked = [
        message["params"]["request"]["url"]
        for entry in driver.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    schemes = {url.partition(":")[0] for url in asked}
    assert schemes <= {"file", "data", "blob"}
    assert sum(url.startswith("file:") for url in asked) == 1


def test_the_codes_become_the_object(opened, folder):
    arrays = NpzFile(folder / "reconstruction.npz")
    known = well_covered(np.asarray(arrays["coverage"]))
    mean = float(np.abs(arrays["object"])[known].mean())
    shown = opened.execute_script(
        "const plot = model('Figure', 'Amplitude');"
        "const [image] = plot.renderers[0].data_source.data.image;"
        "const values = [...image].filter(Number.isFinite);"
        "return [values.length, values.reduce((a, b) => a + b)/values.length]"
    )
    assert shown[0] == known.sum()
    assert shown[1] == pytest.approx(mean, rel=1e-4)  # 16 bits over a range of about the mean


def test_colours_range_and_sampler_change_the_picture(opened):
    assert changes(opened, "amplitude", "model('Select', 'Colours: amplitude').value = 'magma'")
    slider = "const slider = model('RangeSlider', 'Range: amplitude (transmission)');"
    assert changes(opened, "amplitude", slider + "slider.value = [slider.start, 0.9*slider.end]")
    before = opened.execute_script("return words('.coverage')")
    choice = "model('RadioButtonGroup')"
    assert opened.execute_script(f"return {choice}.labels") == ["balanced", "uniform", "sequential"]
    assert " ".join(before.split()).startswith("groups 30 of 4 frames")
    assert changes(opened, "scan", f"{choice}.active = 2")
    assert opened.execute_script("return words('.coverage')") != before


GROUP = "model('Spinner').value"


def centre_on_screen(driver, group):
    """Return where the centre of a group lies in the window, having brought it there."""
    return driver.execute_script(
        """
        document.getElementById("scan").scrollIntoView({block: "center", behavior: "instant"})
        const plot = model("Figure", "Scan positions and groups")
        const view = Bokeh.index.find_one(plot)
        const {x, y} = plot.renderers[1].data_source.data
        const box = view.canvas_view.el.getBoundingClientRect()
        return [box.x + view.frame.x_scale.compute(x[arguments[0]]),
                box.y + view.frame.y_scale.compute(y[arguments[0]])]
        """,
        group,
    )


def mouse(driver, kind, x, y, **more):
    driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})


def test_pointing_at_a_group_and_clicking_one_shows_its_frames(opened, folder):
    groups = read_run(folder).selection.groups
    x, y = centre_on_screen(opened, 7)
    before = opened.execute_script("return pixels('frames')")
    mouse(opened, "mouseMoved", x, y)
    wait(opened, f"return {GROUP} == 8")
    named = f"Group 8 of 30: frames {', '.join(map(str, groups[7]))}; probes overlap by"
    assert named in opened.execute_script("return words('.grow')")
    wait(opened, "return pixels('frames') != arguments[0]", before)

    x, y = centre_on_screen(opened, 21)
    for kind in ("mousePressed", "mouseReleased"):
        mouse(opened, kind, x, y, button="left", clickCount=1)
    wait(opened, f"return {GROUP} == 22")
    x, y = centre_on_screen(opened, 3)
    mouse(opened, "mouseMoved", x, y)
    opened.execute_script("return new Promise((done) => setTimeout(done, 300))")
    assert opened.execute_script(f"return {GROUP}") == 22  # what was clicked stays


def test_every_map_follows_the_zoom_of_one(opened):
    opened.execute_script("model('Figure', 'Scan positions and groups').x_range.start = 30")
    ranges = opened.execute_script(
        "return ['Amplitude', 'Phase', 'Residual of each frame']"
        ".map((title) => model('Figure', title).x_range.start)"
    )
    assert ranges == [30, 30, 30]


@pytest.mark.parametrize("width", [390, 1280])
def test_pixels_are_square_at_every_width(driver, folder, width):
    open_page(driver, folder, width=width)
    script = (
        "const view = Bokeh.index.find_one(model('Figure', arguments[0]));"
        "const {x_scale: x, y_scale: y} = view.frame;"
        "return [x.compute(1) - x.compute(0), y.compute(1) - y.compute(0)]"
    )
    for title in ("Amplitude", "Phase", "Residual of each frame", "Scan positions and groups"):
        across, down = driver.execute_script(script, title)
        assert down == pytest.approx(across, rel=0.02)  # whole pixels of about 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_page_without_sideways_scroll(driver, folder, scheme):
    open_page(driver, folder, width=390, scheme=scheme)
    wide, window = driver.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert (wide, window) == (390, 390)


def luminance(colour):
    """Relative luminance of 'rgb(r, g, b)'. Source: WCAG 2.1."""
    parts = [int(p) / 255 for p in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_luminance_by_hand():
    assert luminance("rgb(255, 255, 255)") == pytest.approx(1.0)
    assert luminance("rgb(0, 0, 0)") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_colour_schemes(driver, folder, scheme):
    open_page(driver, folder, scheme=scheme)
    colours = driver.execute_script(
        "const of = (name) => getComputedStyle(document.querySelector(name)).color;"
        "return [getComputedStyle(document.body).backgroundColor,"
        "of('body'), of('th'), of('figcaption'), of('a[download]')]"
    )
    ground, *texts = map(luminance, colours)
    assert (ground > 0.5) == (scheme == "light")
    for text in texts:
        low, high = sorted((ground, text))
        assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.1, level AA
    drawn = driver.execute_script("return model('ColorBar').major_label_text_color")
    assert (int(drawn[1:3], 16) > 127) == (scheme == "dark")


def test_the_page_can_be_read_without_seeing_and_used_without_a_mouse(opened):
    levels = opened.execute_script(
        "return [...document.querySelectorAll('h1, h2, h3')].map((h) => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    assert opened.execute_script("return document.documentElement.lang") == "en"
    unnamed = opened.execute_script(
        "return [...document.querySelectorAll('figure')]"
        ".filter((f) => !f.getAttribute('aria-label') || !f.querySelector('figcaption').innerText)"
        ".length"
    )
    assert unnamed == 0
    body = opened.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    assert opened.switch_to.active_element.get_attribute("href").endswith("#content")
    inputs = "all(document.querySelector('#groups')).filter((el) => el.tagName == 'INPUT')"
    opened.execute_script(f"return {inputs}[0]").send_keys(Keys.ARROW_UP)
    wait(opened, f"return {GROUP} == 2")
    wait(opened, "return words('.grow').startsWith('Group 2 of 30')")


def test_sizes_on_paper_and_colours_of_print(opened):
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    shown = opened.execute_script(
        "return [getComputedStyle(document.querySelector('nav')).display,"
        "getComputedStyle(document.body).backgroundColor]"
    )
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": []})
    assert shown == ["none", "rgb(255, 255, 255)"]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A folder as of a run on 10,304 frames of 64 x 64: all that may travel is there, as noise."""
    folder, rng = tmp_path_factory.mktemp("large"), np.random.default_rng(0)
    row, col = np.divmod(np.arange(10_304), 112)
    positions = 10.0 * np.stack([row, col], axis=1) + 40
    probe = np.ones((1, 64, 64), np.complex64)
    scan = RawData(
        frames=rng.integers(0, 999, (10_304, 64, 64), np.uint16), measurement="counts",
        xcoords=positions[:, 1], ycoords=positions[:, 0], probe=probe,
    )  # fmt: skip
    scan.save(folder / "scan.npz")
    config = InferenceConfig(test_data="scan.npz", output_dir=folder)
    begun(folder, config)
    groups = sample_groups(*positions.T[::-1], GroupRule(), n=2576, method="balanced")
    write_selection(folder, Selection(
        positions=positions, groups=groups, scan_index=np.zeros(10_304, int), probe=probe,
    ))  # fmt: skip
    shape = (1100, 1200)
    arrays = {name: rng.random(shape, np.float32) for name in ("amplitude_std", "phase_std")}
    write_npz(folder / "reconstruction.npz", arrays | {
        "object": (rng.random(shape) + 1j * rng.random(shape)).astype(np.complex64),
        "coverage": np.ones(shape, np.float32), "origin": np.zeros(2), "positions": positions,
        "frames": np.arange(10_304), "probe": probe,
        "frame_residuals": rng.random(10_304, np.float32),
    })  # fmt: skip
    write_page(folder)
    return folder


def test_a_scan_of_production_size_stays_below_15_mb(driver, large, record_property):
    assert (large / "report.html").stat().st_size < 15e6
    driver.get_log("browser")  # forgets what was before
    open_page(driver, large)
    paint, idle = driver.execute_script(
        "return [performance.getEntriesByName('first-contentful-paint')[0].startTime,"
        "performance.now()]"
    )
    record_property("first_paint_ms", paint)
    record_property("figures_drawn_ms", idle)
    assert driver.execute_script("return model('Spinner').high") == 2576
    severe = [entry for entry in driver.get_log("browser") if entry["level"] != "INFO"]
    assert severe == []
