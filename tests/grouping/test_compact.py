"""The compact part of a scan."""

import numpy as np

from ptycho.grouping.compact import compact_part


def test_the_compact_part_is_the_nearest():
    positions = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [50.0, 50.0]])
    assert compact_part(positions, 4).tolist() == [0, 1, 2, 3]
    assert compact_part(positions, 9).tolist() == [0, 1, 2, 3, 4]
