"""What is kept of compiled loops, and what the loops can do."""

import pytest
import torch

from ptycho.physics import frame_loops
from ptycho.physics.compiled import as_real, from_planar, loops_for, planar, serves, to_corner
from ptycho.physics.forward import ForwardModel


def test_what_is_kept_on_disk_depends_on_every_file_of_the_loops():
    """Numba looks at closed-over values and at one file only; an old result must not be run."""
    loops = vars(loops_for(16))
    assert len(loops) == 6
    for loop in loops.values():
        closed = [cell.cell_contents for cell in loop.py_func.__closure__]
        assert frame_loops._source() in closed


@pytest.mark.parametrize("size", [8, 16, 24, 64, 100, 512])
def test_sides_that_are_powers_of_two_from_16_on(size):
    expected = size in (16, 64, 512)
    assert serves(ForwardModel(), size, torch.device("cpu")) == expected
    assert not serves(ForwardModel(), size, torch.device("cuda"))


def test_layouts_by_hand():
    wave = torch.tensor([[1 + 2j, 3 + 4j], [5 + 6j, 7 + 8j]], dtype=torch.complex64)
    assert as_real(wave).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert planar(wave).tolist() == [[1, 3, 5, 7], [2, 4, 6, 8]]
    assert torch.equal(from_planar(planar(wave), (2, 2)), wave)
    frame = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])  # 5 lies at N//2
    assert to_corner(frame).tolist() == [5, 6, 4, 8, 9, 7, 2, 3, 1]
