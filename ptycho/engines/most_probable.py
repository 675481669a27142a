"""The engine `map`: the object that is most probable, given all counts and what objects are like.

Data flow: patches -> object -> [iterations, maximum a posteriori] -> object. Plain PyTorch.
Sweeps find the object; where photons are few or the overlap is large they stop short of what the
counts say, for they know nothing of noise but when to end. From there on the object follows the
likelihood of the counts and the spectra of its own log-amplitude and phase.
"""

import logging
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from scipy import ndimage
from skimage.restoration import unwrap_phase
from torch import Tensor

from ptycho.engines.descent import descend
from ptycho.engines.ending import Ending, Monitor, Patience
from ptycho.engines.fused import updating
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.engines.problem import Estimate, Problem, Solution
from ptycho.engines.residuals import expected_frames
from ptycho.engines.spectral_prior import first_prior, measured_prior
from ptycho.engines.stitching import illumination_on
from ptycho.engines.sweeps import Sweeps, batch_size
from ptycho.engines.updates import Sums, Updater
from ptycho.metrics.frc import inner_rectangle
from ptycho.physics.patches import Canvas
from ptycho.physics.probe import probe_intensity
from ptycho.progress import Track, untracked
from ptycho.spread import spread

log = logging.getLogger(__name__)

_PATIENCE = Patience(most=200)
_NEARER = (0.3, 0.3, 0.3, 0.3, 0.03)
"""Standard deviations of the posterior, root mean square over all pixels, to which the minimum is
approached: twice to measure the spectra, and in the end; no error grows by more than 0.05 %."""
_DARKEST = 0.03  # amplitude relative to the mean; below, a logarithm and a phase say nothing
_KNOWN = 0.02  # illumination relative to the brightest pixel, above which an object is known
_WELL_KNOWN = 0.25
_SMOOTH = 1.5, 3.0, 6.0  # pixels, before a phase is unwrapped
_LONGEST = 1.0  # step of a phase or a log-amplitude
_WORSE = 1.05  # held-out misfit, relative to the start, above which the start is kept
_FRAMES = 128  # from which the excess variance is found
_BRIGHT = 3.0  # photons, from which a count says whether its variance is that of Poisson


@dataclass(frozen=True, slots=True)
class MostProbable:
    """The iterations of `Sweeps`, then the maximum of the posterior probability.

    With log-amplitude a and phase p of the object o = exp(a + i p):

        minus log probability = sum over counts of -log p(n | I) + sum_k |F a|^2 / 2 S_a(k)
                                + |F p|^2 / 2 S_p(k)

    I is expected by the forward model; p(n | I) has the variance I + c I^2 (negative binomial;
    Poisson for c = 0), with c as measured on the object of the sweeps: an error of the probe shows
    in proportion to the intensity, and would be taken for structure where it is bright. S are power
    laws measured on the same object.

    Attributes:
        fused: see `Sweeps`.

    Source:
        Maximum likelihood in ptychography: Thibault & Guizar-Sicairos, New J. Phys. 14, 063004
        (2012).
    """

    fused: bool = True

    def room(self, refine: Refine) -> int:
        """Return what the sweeps need."""
        return Sweeps().room(refine)

    def solve(
        self, problem: Problem, start: Estimate, ending: Ending, refine: Refine, track: Track
    ) -> Solution:
        """Improve a start; see `Engine.solve`. A number of iterations is that of the sweeps."""
        found = Sweeps(fused=self.fused).solve(problem, start, ending, refine, track)
        until = Ending(seconds=ending.seconds)
        return most_probable(problem, found, until, fused=self.fused)


@torch.no_grad()
def most_probable(
    problem: Problem,
    start: Solution,
    ending: Ending,
    track: Track = untracked,
    *,
    fused: bool = True,
) -> Solution:
    """Return the most probable object near that of a solution, whose nuisance parameters stay.

    Args:
        problem: what is to be explained.
        start: near the object.
        ending: how many iterations; else the posterior decides.
        track: wraps the numbers of the iterations, given the most there can be, to show progress.
        fused: see `Sweeps`.
    """
    obj, nuisances = start.estimate.to(problem.device)
    light = _light(problem, nuisances)
    known = light > _KNOWN * light.max()
    at = logarithms(obj, known)
    excess = excess_variance(problem, start.estimate.to(problem.device))
    data = Information.of(problem, nuisances, obj, light, excess)
    well = (light > _WELL_KNOWN * light.max()).cpu().numpy()
    noise = data.noise(*_shape_inside(well))
    prior = first_prior(at.cpu().numpy(), well)
    monitor = Monitor(ending, _PATIENCE)
    numbers = monitor.iterations(track)
    unknowns = 2 * int(known.sum())
    with updating(problem, Refine(), compiled=fused and nuisances.variation is None) as updater:
        for near in _NEARER:
            power = prior.power(problem.canvas.shape).to(problem.device)
            inverse = 1 / (data.on(problem.canvas.shape).to(problem.device) + 1 / power)
            posterior = _Posterior(problem, nuisances, power, excess, updater)
            metric = partial(filtered, transfer=inverse)
            points = descend(posterior.gradient, at, metric, longest=_LONGEST)
            for _, (point, left) in zip(numbers, points, strict=False):
                at = point
                monitor.add(posterior.sums.misfit)
                if ending.iterations is None and left < near**2 / 2 * unknowns:
                    break
            if near > _NEARER[-1]:
                prior = measured_prior(at.cpu().numpy(), well, noise, prior)
                excess = excess_variance(problem, Estimate(as_object(at), nuisances))
    log.info("map: prior %s; variance of counts I + %.2g I^2", prior, excess)
    if monitor.history[-1] > _WORSE * monitor.history[0]:
        log.info(
            "map: held-out misfit %.4g, before %.4g; the object of the sweeps is kept",
            monitor.history[-1], monitor.history[0],
        )  # fmt: skip
        return start
    history = [*start.free_residual, *monitor.history]
    return Solution(as_object(at), nuisances, history, len(history))


class _Posterior:
    """Gradients of minus the log probability of an object."""

    def __init__(
        self,
        problem: Problem,
        nuisances: Nuisances,
        power: Float[Tensor, "2 row half"],
        excess: float,
        updater: Updater,
    ):
        self._nuisances, self._excess, self._updater = nuisances, excess, updater
        self._precision = 1 / power
        self._size = problem.batch_size or batch_size(problem)
        self.sums = Sums()
        """Of the last gradient."""

    def gradient(self, at: Float[Tensor, "2 row col"]) -> Float[Tensor, "2 row col"]:
        """Return the gradient with respect to log-amplitude and phase."""
        obj, self.sums = as_object(at), Sums()
        estimate = Estimate(obj, self._nuisances)
        total = self._updater.total(estimate, self._size, self.sums, excess=self._excess)
        both = 2 * total.step.conj() * obj
        return filtered(at, self._precision) - torch.stack([both.real, -both.imag])


@dataclass(frozen=True)
class Information:
    """What the counts say about each frequency of log-amplitude and phase, in the mean.

    A photon tells the amplitude of the wave behind the sample from its phase only by interference,
    so half of the information of 4 |P|^2 is about each. A change that is constant across the probe
    is an exception: all photons tell its amplitude, none its phase. With G the transform of |P|^2,
    1 at k = 0:

        h(k) = 2 sum |P o|^2 (1 + |G|^2) of log-amplitude,  2 sum |P o|^2 (1 - |G|^2) of phase

    Attributes:
        level: sum |P o|^2 over frames, photons per object pixel, reduced by an excess variance.
        probe: |P|^2 of all modes.
    """

    level: float
    probe: Float[Tensor, "row col"]

    @classmethod
    def of(
        cls,
        problem: Problem,
        nuisances: Nuisances,
        obj: Complex[Tensor, "row col"],
        light: Float[Tensor, "row col"],
        excess: float,
    ) -> "Information":
        """Return the information in the frames of a problem.

        Args:
            problem: the frames.
            nuisances: the probe.
            obj: about the object that they show.
            light: sum |P|^2 on its canvas.
            excess: see `physics.detector.Measured`.
        """
        lit = light > _WELL_KNOWN * light.max()
        counts = _some_amplitudes(problem)[1].square()
        share = (counts / (1 + excess * counts)).sum() / counts.sum()
        level = float((light * obj.abs().square())[lit].mean() * share)
        return cls(level, probe_intensity(nuisances.probe).cpu())

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

    c is where the mean of ((n - I)^2 - I) / (I + c I^2), weighted by c I / (1 + c I), is that of c.
    An object fitted to counts is closer to them than the truth, so that counting noise alone gives
    0.

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
    light, beyond = expected[used].double(), (counted - expected)[used].double().square()
    if len(light) == 0:
        return 0.0
    found = 0.0
    for _ in range(20):
        weight = (1 + found * light).pow(-2)
        found = max(float(((beyond - light) * weight).sum() / (light.square() * weight).sum()), 0.0)
    return found


def logarithms(
    obj: Complex[Tensor, "row col"], known: Bool[Tensor, "row col"]
) -> Float[Tensor, "2 row col"]:
    """Return log-amplitude and unwrapped phase of an object.

    Args:
        obj: on a canvas.
        known: where it is known; elsewhere the nearest known pixel is repeated.
    """
    values, mask = obj.cpu().numpy(), known.cpu().numpy()
    amplitude = np.abs(values)
    mean = float(amplitude[mask].mean())
    clear = mask & (amplitude > _DARKEST * mean)
    nearest = ndimage.distance_transform_edt(~clear, return_distances=False, return_indices=True)
    turned = (values * np.exp(-1j * np.angle(values[clear].sum())))[tuple(nearest)]
    phase = np.angle(turned)
    if np.ptp(phase) > np.pi:
        whole = _unwrapped(turned, clear)
        whole -= 2 * np.pi * np.round(np.median(whole[clear]) / (2 * np.pi))
        phase = whole + np.angle(turned * np.exp(-1j * whole))
    bounded = np.log(np.maximum(amplitude, _DARKEST * mean))
    outside = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    both = np.stack([bounded[tuple(outside)], phase]).astype(np.float32)
    return torch.from_numpy(both).to(obj.device)


def _unwrapped(
    obj: Complex[np.ndarray, "row col"], known: Bool[np.ndarray, "row col"]
) -> Float[np.ndarray, "row col"]:
    """Return the smooth part of a phase, unwrapped, as little smoothed as leaves no jumps.

    Noise has wraps of its own, which would lead astray the lines where others are taken back.
    """
    whole = np.zeros(obj.shape)
    for smooth in _SMOOTH:
        whole = unwrap_phase(np.angle(ndimage.gaussian_filter(obj, smooth)))
        jumps = [np.abs(np.diff(whole, axis=axis)) > np.pi for axis in (0, 1)]
        inside = (known[1:] & known[:-1], known[:, 1:] & known[:, :-1])
        if not any((jump & here).any() for jump, here in zip(jumps, inside, strict=True)):
            break
    return whole


def as_object(at: Float[Tensor, "2 row col"]) -> Complex[Tensor, "row col"]:
    """Return exp(a + i p) of log-amplitude a and phase p."""
    return torch.polar(at[0].exp(), at[1])


def filtered(
    pictures: Float[Tensor, "2 row col"], transfer: Float[Tensor, "2 row half"]
) -> Float[Tensor, "2 row col"]:
    """Return pictures, taken as periodic, times a transfer function of their frequencies."""
    shape = (pictures.shape[-2], pictures.shape[-1])
    return torch.fft.irfft2(torch.fft.rfft2(pictures) * transfer, s=shape)


def _light(problem: Problem, nuisances: Nuisances) -> Float[Tensor, "row col"]:
    """Return sum |P|^2 of all frames on the canvas, photons per object pixel."""
    probe = nuisances.probe.cpu()
    placed = nuisances.positions[torch.from_numpy(problem.members)].cpu()
    relative = illumination_on(Canvas(*problem.canvas), placed, probe)
    return (relative * probe_intensity(probe).max()).to(problem.device)


def _shape_inside(known: Bool[np.ndarray, "row col"]) -> tuple[int, int]:
    rows, cols = inner_rectangle(known)
    return rows.stop - rows.start, cols.stop - cols.start


def _some_amplitudes(problem: Problem) -> tuple[Tensor, Float[Tensor, "frame row col"]]:
    """Return some frames, spread over the scan, and their amplitudes."""
    return problem.batch(torch.from_numpy(spread(len(problem.members), _FRAMES)))


def build(network: object) -> MostProbable:
    """Return the engine; it uses no network."""
    return MostProbable()
