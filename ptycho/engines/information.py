"""What the counts of a scan say: how much about each frequency of an object, and how surely.

Data flow: object, frames -> [information, excess variance] -> the most probable object.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ptycho.engines.nuisances import Nuisances
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.residuals import expected_frames
from ptycho.engines.stitching import illumination_on
from ptycho.physics.patches import Canvas
from ptycho.physics.probe import probe_intensity
from ptycho.spread import spread

WELL_KNOWN = 0.25
"""Illumination relative to the brightest pixel, above which all of an object is known."""
_FRAMES = 128  # from which the excess variance is found
_BRIGHT = 3.0  # photons, from which a count says whether its variance is that of Poisson


@dataclass(frozen=True)
class Information:
    """What the counts say about each frequency of log-amplitude and phase, in the mean.

    A frame distinguishes amplitude and phase of the exit wave only by interference, so half of the
    information 4 |P|^2 is about each. A change that is constant across the probe is an exception:
    all of it is about the amplitude, none about the phase. With G the Fourier transform of |P|^2,
    normalised to 1 at k = 0:

        h(k) = 2 sum |P o|^2 (1 + |G|^2) of log-amplitude,  2 sum |P o|^2 (1 - |G|^2) of phase

    Attributes:
        level: sum |P o|^2 over frames, photons per object pixel, reduced by an excess variance.
        share: of the information that is left by the excess variance.
        probe: |P|^2 of all modes.
    """

    level: float
    share: float
    probe: Float[Tensor, "row col"]

    @classmethod
    def of(
        cls,
        problem: Problem,
        estimate: Estimate,
        light: Float[Tensor, "row col"],
        excess: float,
    ) -> "Information":
        """Return the information in the frames of a problem.

        Args:
            problem: the frames.
            estimate: about the object that they show, and the probe.
            light: sum |P|^2 on its canvas.
            excess: see `physics.detector.Measured`.
        """
        lit = light > WELL_KNOWN * light.max()
        counts = _some_amplitudes(problem)[1].square()
        share = float((counts / (1 + excess * counts)).sum() / counts.sum())
        level = share * float((light * estimate.obj.abs().square())[lit].mean())
        return cls(level, share, probe_intensity(estimate.nuisances.probe).cpu())

    def on(self, shape: tuple[int, int]) -> Float[Tensor, "2 row half"]:
        """Return h on the half plane of `torch.fft.rfft2`.

        Args:
            shape: (row, col) of a canvas.
        """
        n = self.probe.shape[-1]
        number = torch.arange(n, dtype=torch.float32) - n // 2
        rows, cols = (
            torch.polar(torch.ones(()), -2 * torch.pi * torch.outer(k, number))
            for k in (torch.fft.fftfreq(shape[0]), torch.fft.rfftfreq(shape[1]))
        )
        whole = self.probe / self.probe.sum()
        shared = (rows @ whole.to(rows.dtype) @ cols.T).abs().square().clamp(max=1)
        return 2 * self.level * torch.stack([1 + shared, 1 - shared])

    def noise(self, rows: int, cols: int) -> Float[np.ndarray, "2 row col"]:
        """Return the power spectrum 1 / h of the noise of a picture, on the whole plane."""
        half = self.on((rows, cols)).numpy()
        mirrored = half[:, -np.arange(rows), 1 : (cols + 1) // 2][..., ::-1]
        whole = np.concatenate([half, mirrored], axis=-1)
        return 1 / np.maximum(whole, 1e-6 * self.level)


def excess_variance(problem: Problem, estimate: Estimate) -> float:
    """Return c of the variance I + c I^2 of the counts about their model, 0 or more.

    c solves sum w ((n - I)^2 - I - c I^2) = 0 with w = (1 + c I)^-2, over bright pixels. An object
    fitted to counts is closer to them than the truth, so that counting noise alone gives 0.

    Args:
        problem: its frames.
        estimate: that explains them, on its device.
    """
    members, amplitude = _some_amplitudes(problem)
    expected = expected_frames(problem, estimate, members)
    counted = amplitude.square()
    mask = problem.frames.raw.mask
    used = expected > _BRIGHT
    used = used if mask is None else used & torch.from_numpy(mask).to(used.device)
    light = expected[used].cpu().double()
    beyond = (counted - expected)[used].cpu().double().square()
    if len(light) == 0:
        return 0.0
    found = 0.0
    for _ in range(20):
        weight = (1 + found * light).pow(-2)
        found = max(float(((beyond - light) * weight).sum() / (light.square() * weight).sum()), 0.0)
    return found


def light_on(problem: Problem, nuisances: Nuisances) -> Float[Tensor, "row col"]:
    """Return sum |P|^2 of all frames on the canvas of a problem, photons per object pixel.

    Args:
        problem: the frames.
        nuisances: probe and positions.
    """
    probe = nuisances.probe.cpu()
    placed = nuisances.positions[torch.from_numpy(problem.members)].cpu()
    relative = illumination_on(Canvas(*problem.canvas), placed, probe)
    return (relative * probe_intensity(probe).max()).to(problem.device)


def _some_amplitudes(problem: Problem) -> tuple[Tensor, Float[Tensor, "frame row col"]]:
    """Return some frames, spread over the scan, and their amplitudes."""
    return problem.batch(torch.from_numpy(spread(len(problem.members), _FRAMES)))
