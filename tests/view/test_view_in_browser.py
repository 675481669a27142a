"""The viewer in a real browser, end to end: list, filter, open, compare, watch."""

import os
import subprocess
import sys

import pytest
from run_folders import one_more_epoch, reconstruction, training

pytest.importorskip("selenium", reason="selenium is not installed")
from browser import needs_browser, set_window, wait

pytestmark = needs_browser

MODELS = """
window.models = () => Bokeh.documents[0].roots().flatMap((root) => [...root.references()])
window.titled = (title) => models().find((m) => (m.title?.text ?? m.title) == title)
window.list = models().find((m) => m.type == "ColumnDataSource" && "run" in m.data)
const all = (root) => [...root.querySelectorAll("*")].flatMap(
  (el) => [el, ...(el.shadowRoot ? all(el.shadowRoot) : [])])
window.all = all
window.words = () => all(document.body).map(
  (el) => el.shadowRoot?.querySelector(".bk-clearfix")?.innerText).filter(Boolean).join(" ")
window.cells = () => all(document.body).filter((el) => el.matches(".slick-cell"))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    reconstruction(root / "first", residual=0.01)
    reconstruction(root / "second", residual=0.05, turn=1.0, bump=0.5, seed=3)
    training(root / "learning")
    return root


@pytest.fixture(scope="module")
def address(home):
    """Of `ptycho view`, in a process of its own."""
    code = "import sys; from ptycho.commands.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code,
               "view", str(home), "--no_open", "--port", "0", "--quiet"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
def page(driver, address):
    set_window(driver)
    driver.get_log("browser")
    driver.get(address)
    wait(driver, "return Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle")
    driver.execute_script(MODELS)
    wait(driver, "return cells().length > 0")
    return driver


def errors(driver):
    return [line for line in driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


def click_row(driver, name):
    """Click the cell of the list that names a run, as a hand would."""
    found = driver.execute_script("return cells().find((el) => el.innerText == arguments[0])", name)
    found.click()


def test_the_list_is_there_and_filters(page):
    assert sorted(page.execute_script("return list.data.run")) == ["first", "learning", "second"]
    assert page.title.startswith("Runs in runs")
    box = page.execute_script("return all(document.body).find((el) => el.matches('input'))")
    box.send_keys("second\n")
    wait(page, "return list.data.run.length == 1 && list.data.run[0] == 'second'")
    page.execute_script("titled('Search').value = ''")
    wait(page, "return list.data.run.length == 3")
    page.execute_script(
        "titled('Number').value = 'detector residual'; titled('at most').value = 0.02"
    )
    wait(page, "return list.data.run.length == 1 && list.data.run[0] == 'first'")
    assert errors(page) == []


def test_a_click_opens_a_run_and_a_choice_compares_it(page):
    click_row(page, "first")
    wait(page, "return titled('Amplitude') !== undefined")
    shown = page.execute_script(
        "return titled('Amplitude').renderers[0].data_source.data.image[0].shape"
    )
    assert shown == [40, 40]
    wait(page, "return words().includes('1.00 % of the power')")
    page.execute_script("titled('Compare with').value = 'second'")
    wait(page, "return titled('Difference of the phase') !== undefined")
    wait(page, "return words().includes('Removed before the subtraction')")
    # Zoom of one is zoom of all: they share their axes.
    page.execute_script("titled('Phase, first').x_range.setv({start: 30, end: 40})")
    ends = page.execute_script(
        "return ['Phase, second', 'Amplitude, first', 'Difference of the phase'].map("
        "(t) => titled(t).x_range.end)"
    )
    assert ends == [40, 40, 40]
    assert errors(page) == []


def test_a_training_is_followed_without_a_reload(page, home):
    click_row(page, "learning")
    wait(page, "return titled('Training loss') !== undefined")
    wait(page, "return words().includes('epoch of the object shown')")
    page.execute_script(
        "window.untouched = titled('Training loss'); const range = untouched.x_range;"
        "range.have_updated_interactively = true; range.setv({start: 0, end: 5})"  # as zoom does
    )
    one_more_epoch(home / "learning", 7, turn=0.5)
    wait(page, "return words().replaceAll(/\\s+/g, ' ').includes('epoch of the object shown 7')")
    wait(page, "return titled('Training loss').renderers[0].data_source.data.x.includes(7)")
    # The same plot, with the zoom it had.
    assert page.execute_script("return untouched === titled('Training loss')")
    assert page.execute_script("return untouched.x_range.end") == 5
    reconstruction(home / "appears")
    wait(page, "return list.data.run.includes('appears')")
    assert errors(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_follows_the_colours_of_the_system(page, scheme):
    set_window(page, 390, scheme)
    click_row(page, "first")
    wait(page, "return titled('Phase') !== undefined")
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    ground = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 27)")


def test_nothing_is_fetched_from_elsewhere(page, address):
    names = page.execute_script(
        "return performance.getEntriesByType('resource').map((e) => e.name)"
    )
    assert names
    assert all(name.startswith((address, "data:")) for name in names)
