"""Evenly spaced indices."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ptycho.spread import spread


@given(n=st.integers(1, 5000), most=st.integers(2, 300))
def test_indices_ascend_from_the_first_to_the_last_in_even_steps(n, most):
    chosen = spread(n, most)
    assert len(chosen) == min(n, most)
    assert (chosen[0], chosen[-1]) == (0, n - 1)
    if len(chosen) > 1:
        steps = np.diff(chosen)
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1


def test_by_hand():
    assert spread(10, 4).tolist() == [0, 3, 6, 9]
    assert spread(3, 16).tolist() == [0, 1, 2]
    assert spread(7, 1).tolist() == [0]
    assert spread(0, 5).tolist() == []
