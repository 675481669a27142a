"""The engine `map`: the object that is most probable, given all counts and what objects are like.

Data flow: patches -> object -> [iterations, maximum a posteriori] -> object. Plain PyTorch.
Sweeps find the object; where photons are few or the overlap is large they stop short of what the
counts say, for they know nothing of noise but when to end. From there on the object follows the
likelihood of the counts and the spectra of its own log-amplitude and phase.
"""

import logging
import time
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from scipy import ndimage
from torch import Tensor

from ptycho.engines.descent import descend
from ptycho.engines.ending import Ending, Monitor, Patience
from ptycho.engines.fused import updating
from ptycho.engines.information import WELL_KNOWN, Information, excess_variance, light_on
from ptycho.engines.logarithms import as_object, filtered, logarithms
from ptycho.engines.nuisances import Refine
from ptycho.engines.problem import Estimate, Problem, Solution
from ptycho.engines.spectral_prior import first_prior, measured_prior
from ptycho.engines.sweeps import Sweeps
from ptycho.engines.updates import Sums, Total, Updater
from ptycho.metrics.frc import inner_rectangle
from ptycho.progress import Track, untracked

log = logging.getLogger(__name__)

_PATIENCE = Patience(most=200)
_NEARER = (0.3, 0.3, 0.3, 0.3, 0.03)
"""Standard deviations of the posterior, root mean square over all pixels, to which the minimum is
approached: before each measurement of the spectra, and in the end; no error grows by more than
0.05 %."""
_KNOWN = 0.02  # illumination relative to the brightest pixel, above which an object is known
_LONGEST = 1.0  # step of a phase or a log-amplitude
_WORSE = 1.05  # held-out misfit, relative to the start, above which the start is kept
_PIXELS_AT_ONCE = 2**22  # of exit waves that are held; results do not depend on it
_PROBE = 0.3  # standard deviation of a refined probe's spectrum, relative to its own
_BEAM = 1e-6  # of its largest square, below which it is noise
_AROUND = 1.5  # pixels of the spectrum over which its squares are averaged


@dataclass(frozen=True, slots=True)
class MostProbable:
    """The iterations of `Sweeps`, then the maximum of the posterior probability.

    With log-amplitude a and phase p of the object o = exp(a + i p):

        minus log probability = sum over counts of -log p(n | I) + sum_k |F a|^2 / 2 S_a(k)
                                + |F p|^2 / 2 S_p(k)

    I is expected by the forward model; p(n | I) has the variance I + c I^2 (negative binomial;
    Poisson for c = 0), with c as measured: an error of the probe shows in proportion to the
    intensity, and would be taken for structure where it is bright. S are power laws measured on the
    object itself. A refined probe P is part of what is found, with a prior of its own: its spectrum
    stays where it is. Otherwise a mode becomes a bright point, whose light falls on all pixels of
    the detector, as a background does. Other nuisance parameters stay as the sweeps found them.

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
        began = time.perf_counter()
        found = Sweeps(fused=self.fused).solve(problem, start, ending, refine, track)
        until = ending.after(time.perf_counter() - began)
        return most_probable(problem, found, until, probe=refine.probe, fused=self.fused)


@torch.no_grad()
def most_probable(
    problem: Problem,
    start: Solution,
    ending: Ending,
    track: Track = untracked,
    *,
    probe: bool = False,
    fused: bool = True,
) -> Solution:
    """Return the most probable object near that of a solution; all else stays.

    Args:
        problem: what is to be explained.
        start: near the object.
        ending: how many iterations; else they end close to the maximum.
        track: wraps the numbers of the iterations, given the most there can be, to show progress.
        probe: whether the probe is found, too.
        fused: see `Sweeps`.

    Returns:
        The solution, or the start where held-out pixels are predicted worse than by it.
    """
    estimate = start.estimate.to(problem.device)
    compiled = fused and estimate.nuisances.variation is None
    monitor = Monitor(ending, _PATIENCE)
    with updating(problem, Refine(probe=probe), compiled=compiled) as updater:
        posterior = Posterior(problem, estimate, updater, probe=probe)
        at = climbed(posterior, monitor, monitor.iterations(track))
    if not monitor.history:  # there was no time left
        return start
    log.info("map: prior %s; variance of counts I + %.2g I^2", posterior.prior, posterior.excess)
    before, after = monitor.history[0], monitor.history[-1]
    if after > _WORSE * before:
        log.info("map: held-out misfit %.4g, before %.4g: the sweeps' object stays", after, before)
        return start
    history = [*start.free_residual, *monitor.history]
    return Solution(*posterior.estimate_at(at), history, len(history))


def climbed(
    posterior: "Posterior", monitor: Monitor, numbers: Iterator[int]
) -> Float[Tensor, " number"]:
    """Return the most probable point; prior and excess variance are measured on the way.

    Args:
        posterior: changed: knows its prior afterwards.
        monitor: of the iterations.
        numbers: of the iterations, as many as there may be.
    """
    at = posterior.start
    for near in _NEARER:
        at = approached(posterior, at, near, monitor, numbers)
        if near > _NEARER[-1]:
            posterior.learn_from(at)
    return at


def approached(
    posterior: "Posterior",
    at: Float[Tensor, " number"],
    near: float,
    monitor: Monitor,
    numbers: Iterator[int],
) -> Float[Tensor, " number"]:
    """Return a point close to the most probable one.

    Args:
        posterior: of which.
        at: where to start.
        near: root mean square distance from it, standard deviations of the posterior.
        monitor: of the iterations.
        numbers: of the iterations, as many as there may be.
    """
    points = descend(posterior.gradient, at, posterior.metric, longest=_LONGEST)
    for _, (point, left) in zip(numbers, points, strict=False):
        at = point
        monitor.add(posterior.sums.misfit)
        if monitor.ending.iterations is None and left < near**2 / 2 * posterior.unknowns:
            break
    return at


class Posterior:
    """Minus the log probability of an object, and of a probe, given all counts.

    Points are vectors: log-amplitude and phase of all pixels of the canvas; then, if the probe is
    unknown, its real and imaginary parts relative to `_unit`.

    Args:
        problem: the frames.
        start: an estimate near the maximum, on the device of the problem.
        updater: works through the frames.
        probe: whether the probe is unknown.

    Attributes:
        start: the point of that estimate.
        unknowns: how many numbers the counts say something of.
        excess: c of the variance I + c I^2 of the counts.
        prior: spectra of the object.
        sums: over the frames, of the last gradient.
    """

    def __init__(self, problem: Problem, start: Estimate, updater: Updater, *, probe: bool):
        self._problem, self._given, self._updater, self._probe = problem, start, updater, probe
        self._size = max(1, _PIXELS_AT_ONCE // start.nuisances.probe.numel())
        self._light = light_on(problem, start.nuisances)
        known = self._light > _KNOWN * self._light.max()
        self._well = (self._light > WELL_KNOWN * self._light.max()).cpu().numpy()
        pictures = logarithms(start.obj, known)
        self._pictures = pictures.shape
        # Steps of a probe are limited as those of an object are, so its largest value is 1.
        self._unit = float(start.nuisances.probe.abs().max())
        self.start = pictures.flatten()
        if probe:
            given = start.nuisances.probe / self._unit
            self.start = torch.cat([self.start, torch.view_as_real(given).flatten()])
            self._probe_precision = 1 / _expected_power(given)
        self.unknowns = 2 * int(known.sum())
        self.prior = first_prior(pictures.cpu().numpy(), self._well)
        self.sums = Sums()
        self._centre: Float[Tensor, "2 row col"] | None = None
        self._weight = 0.0
        self._look_at(start)

    def gradient(self, at: Float[Tensor, " number"]) -> Float[Tensor, " number"]:
        """Return the gradient at a point."""
        pictures = self._pictures_at(at)
        total = self._total(self.estimate_at(at))
        both = 2 * total.step.conj() * as_object(pictures)
        away = pictures if self._centre is None else pictures - self._centre
        found = filtered(away, self._precision) - torch.stack([both.real, -both.imag])
        if total.probe_step is None:
            return found.flatten()
        away = self._probe_at(at) - self._probe_at(self.start)
        of_probe = _filtered_probe(away, self._probe_precision) - 2 * self._unit * total.probe_step
        return torch.cat([found.flatten(), torch.view_as_real(of_probe).flatten()])

    def metric(self, gradient: Float[Tensor, " number"]) -> Float[Tensor, " number"]:
        """Return a gradient times about the inverse of the Hessian."""
        found = filtered(self._pictures_at(gradient), self._covariance).flatten()
        if not self._probe:
            return found
        covariance = 1 / (self._weight + self._probe_precision)
        of_probe = _filtered_probe(self._probe_at(gradient), covariance)
        return torch.cat([found, torch.view_as_real(of_probe).flatten()])

    def about(
        self,
        at: Float[Tensor, " number"],
        problem: Problem,
        updater: Updater,
        rng: np.random.Generator,
    ) -> "Posterior":
        """Return the posterior of other frames, of an object drawn from the prior about a point.

        Args:
            at: the point.
            problem: the frames, counted at that point.
            updater: works through them.
            rng: of the prior.
        """
        white = torch.from_numpy(rng.standard_normal(self._pictures, dtype=np.float32))
        drawn = filtered(white.to(at.device), self._precision.rsqrt())
        other = copy(self)
        other._problem, other._updater = problem, updater
        other._centre = self._pictures_at(at) + drawn
        return other

    def learn_from(self, at: Float[Tensor, " number"]) -> None:
        """Measure prior and excess variance on the object of a point."""
        pictures = self._pictures_at(at).cpu().numpy()
        rows, cols = inner_rectangle(self._well)
        noise = self._data.noise(rows.stop - rows.start, cols.stop - cols.start)
        self.prior = measured_prior(pictures, self._well, noise, self.prior)
        self._look_at(self.estimate_at(at))

    def estimate_at(self, at: Float[Tensor, " number"]) -> Estimate:
        """Return object and nuisance parameters of a point."""
        nuisances = self._given.nuisances
        if self._probe:
            nuisances = nuisances._replace(probe=self._probe_at(at) * self._unit)
        return Estimate(as_object(self._pictures_at(at)), nuisances)

    def _look_at(self, estimate: Estimate) -> None:
        """Measure the excess variance of an estimate; find how well the counts determine it."""
        problem = self._problem
        self.excess = excess_variance(problem, estimate)
        self._data = Information.of(problem, estimate, self._light, self.excess)
        power = self.prior.power(problem.canvas.shape).to(problem.device)
        self._precision = 1 / power
        self._covariance = 1 / (self._data.on(problem.canvas.shape).to(problem.device) + 1 / power)
        if self._probe:
            squares = self._total(
                estimate
            ).probe_weight  # all frames see much the same of an object
            assert squares is not None
            self._weight = 2 * self._unit**2 * self._data.share * float(squares.mean())

    def _pictures_at(self, at: Float[Tensor, " number"]) -> Float[Tensor, "2 row col"]:
        return at[: self._light.numel() * 2].unflatten(0, tuple(self._pictures))

    def _probe_at(self, at: Float[Tensor, " number"]) -> Complex[Tensor, "mode row col"]:
        values = at[self._light.numel() * 2 :]
        shape = self._given.nuisances.probe.shape
        return torch.view_as_complex(values.unflatten(0, (*shape, 2)).contiguous())

    def _total(self, estimate: Estimate) -> Total:
        self.sums = Sums()
        return self._updater.total(
            estimate, self._size, self.sums, probe=self._probe, excess=self.excess
        )


def _filtered_probe(
    probe: Complex[Tensor, "mode row col"], transfer: Float[Tensor, "row col"]
) -> Complex[Tensor, "mode row col"]:
    return torch.fft.ifft2(torch.fft.fft2(probe) * transfer)


def _expected_power(probe: Complex[Tensor, "mode row col"]) -> Float[Tensor, "row col"]:
    """Return the variance of a probe's spectrum: a share of its own power, smoothed."""
    power = torch.fft.fft2(probe, norm="ortho").abs().square().sum(dim=0).cpu().numpy()
    smooth = ndimage.gaussian_filter(power, _AROUND, mode="wrap")
    expected = _PROBE**2 * np.maximum(smooth, _BEAM * smooth.max())
    return torch.from_numpy(expected.astype(np.float32)).to(probe.device)


def build(network: object) -> MostProbable:
    """Return the engine; it uses no network."""
    return MostProbable()
