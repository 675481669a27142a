"""What test runs share: one Hypothesis profile, no thread storm on small arrays, a browser."""

import os

import pytest
from hypothesis import settings

from ptycho.grouping import compiled

os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory):
    """Groups caches of tests stay out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def the_numpy_way(monkeypatch):
    """Tests of grouping go the NumPy way, whichever test loaded the compiled one before."""
    monkeypatch.setattr(compiled, "pays", lambda n: n >= compiled.PAYS_FROM)


@pytest.fixture(scope="module")
def driver():
    """A browser, for the tests that need one; see `browser`."""
    from browser import new_driver  # selenium may be missing where nothing needs it

    found = new_driver()
    yield found
    found.quit()
