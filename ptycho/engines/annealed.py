"""A start for scans of thin overlap: sweeps between steps towards a picture of few edges.

Data flow: patches -> object -> [sweeps, total variation] -> object.
Where frames hardly overlap, iterations from any start end in the next of many minima. A strong
preference for few edges leaves few of them; as it fades, the frames take over.
"""

import logging
import math
import time
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Complex
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

from ptycho.engines.ending import Ending
from ptycho.engines.information import light_on
from ptycho.engines.nuisances import Refine
from ptycho.engines.problem import Estimate, Problem, Solution
from ptycho.engines.sweeps import Sweeps
from ptycho.progress import Track, untracked

log = logging.getLogger(__name__)

_CYCLES = 20
_SWEEPS = 5  # in each cycle
_STRONG, _WEAK = 0.3, 0.01  # weight of the total variation of an object of mean square 1
_MOMENTUM = 0.9
_LIT = 0.02  # illumination relative to the brightest pixel, above which the object has edges


def annealed(
    problem: Problem, start: Solution, ending: Ending, *, fused: bool, track: Track = untracked
) -> Solution:
    """Return the solution from an annealed start, or the given one if it predicts better.

    Args:
        problem: what is to be explained.
        start: a solution of sweeps; its nuisance parameters stay.
        ending: of the sweeps that follow; cycles end with its time, too.
        fused: see `Sweeps`.
        track: wraps the numbers of the cycles, to show progress.

    Source:
        Total variation in ptychography: Chang et al., SIAM J. Imaging Sci. 9, 175 (2016); less and
        less of it: Blake & Zisserman, Visual Reconstruction (1987).
    """
    obj, nuisances = start.estimate.to(problem.device)
    light = light_on(problem, nuisances)
    lit = (light > _LIT * light.max()).cpu().numpy()
    long = Sweeps(long_steps=_CYCLES * _SWEEPS, momentum=_MOMENTUM, fused=fused)
    now = torch.ones_like(obj)
    weights = np.geomspace(_STRONG, _WEAK, _CYCLES).tolist()
    began = time.perf_counter()
    for weight in track(weights, _CYCLES):
        left = ending.after(time.perf_counter() - began).seconds
        some = Ending(iterations=_SWEEPS, seconds=left)
        found = long.solve(problem, Estimate(now, nuisances), some, Refine(), untracked)
        now = _fewer_edges(found.obj, lit, weight)
    ending = replace(ending, seconds=ending.after(time.perf_counter() - began).seconds)
    found = Sweeps(fused=fused).solve(problem, Estimate(now, nuisances), ending, Refine(), track)
    before, after = (min(each.free_residual, default=math.inf) for each in (start, found))
    log.info("annealed start: held-out misfit %.4g, from the first start %.4g", after, before)
    return found if after < before else start


def _fewer_edges(
    obj: Complex[Tensor, "row col"], lit: Bool[np.ndarray, "row col"], weight: float
) -> Complex[Tensor, "row col"]:
    """Return an object of less total variation where it is illuminated."""
    rows, cols = (np.flatnonzero(lit.any(axis=axis)) for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
    inside = torch.view_as_real(obj[box]).cpu().numpy()
    level = float(np.sqrt(np.mean(np.square(inside[lit[box]]).sum(axis=-1))))
    smooth = denoise_tv_chambolle(inside / level, weight=weight, channel_axis=-1, max_num_iter=100)
    found = obj.clone()
    parts = torch.from_numpy(np.ascontiguousarray(smooth * level, np.float32))
    found[box] = torch.view_as_complex(parts).to(obj.device)
    return found
