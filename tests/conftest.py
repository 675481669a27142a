"""What every test run shares: one Hypothesis profile, and no thread storm on small arrays."""

import os

import pytest
from hypothesis import settings

from ptycho.grouping import compiled

os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def the_numpy_way(monkeypatch):
    """Tests of grouping go the NumPy way, whichever test loaded the compiled one before."""
    monkeypatch.setattr(compiled, "pays", lambda n: n >= compiled.PAYS_FROM)
