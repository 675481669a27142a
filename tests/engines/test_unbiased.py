"""When the bias of counted roots is made up for: where photons and overlap are plenty."""

import pytest
import torch

from ptycho.api.simulation import simulate
from ptycho.engines.density import needs_unbiased
from ptycho.engines.nuisances import Refine
from ptycho.physics.patches import canvas_of


def asked(raw, **refine):
    positions = torch.from_numpy(raw.positions)
    canvas = canvas_of(positions, raw.frame_size)
    return needs_unbiased(raw, positions, canvas, Refine(**refine))


@pytest.mark.parametrize(
    ("step", "photons", "needed"),
    [
        # frames on a pixel pi/4 (fwhm / step)^2, photons on it dose / step^2
        (2.0, 1e5, True),  # 12.6 and 25,000
        (2.0, 1e4, False),  # 2,500 photons
        (4.0, 1e6, False),  # 3.1 frames
    ],
)
def test_many_frames_and_photons_on_a_pixel_are_needed(step, photons, needed):
    raw = simulate(
        n_frames=400, N=32, step=step, jitter=0.1, probe_fwhm=8.0, photons=photons, noise=False,
        amplitude_image="leaves", phase_image="clouds",
    )  # fmt: skip
    assert asked(raw) is needed
    assert asked(raw, probe=True) is needed


@pytest.mark.parametrize("name", ["positions", "affine", "search"])
def test_positions_always_need_it(name):
    raw = simulate(n_frames=25, N=32, step=6.0, probe_fwhm=8.0, photons=100.0)
    assert not asked(raw)
    assert asked(raw, **{name: True})
