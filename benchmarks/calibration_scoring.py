"""A reconstruction of a spoiled scan compared with the truth: what counts as right, and what not.

A common shift of all positions is allowed always. Frames, positions and probe may also be mirrored
or turned together, and the object be the conjugate: frames cannot tell those pictures apart unless
the probe that was given can. Such a turn is found from the positions of the result; it is allowed
where orientation or probe were spoiled and the given probe does not decide, and reported anyway.
"""

import math
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from calibration_scans import Made
from calibration_spoilings import SPOILINGS

import ptycho
from ptycho.api.result import Result
from ptycho.engines.stitching import illumination_on
from ptycho.io.orientation import oriented
from ptycho.metrics import Comparison, robust_range, well_covered
from ptycho.physics.patches import Canvas
from ptycho.scan.raw_data import RawData

WRONG_DB = 15.0
"""Phase PSNR below which a picture counts as wrong."""
WRONG_SHARE = 0.7
"""Phase error over phase contrast, both RMS, above which it does: half of the variance. A PSNR
alone would pass an empty picture of a few particles."""

TWIN = "conjugate, turned by 180 degrees"
_TURNS = {"none": (), "conjugate": ("conjugate",), TWIN: ("conjugate", "flipud", "fliplr")}
_SAME_PROBE = 0.02


class Placed(NamedTuple):
    """How the positions of a result lie to the true ones: result = turn(true) + shift."""

    steps: tuple[str, ...]
    """Steps on an array that undo the turn."""
    matrix: np.ndarray
    shift: np.ndarray
    rms: float
    """What remains, pixels per axis."""


def placing(result: Result, made: Made, *, turns: bool) -> Placed:
    """Return the turn and shift between the positions of a result and the true ones.

    Args:
        result: of the spoiled scan, or of the right one.
        made: the scan.
        turns: whether to search for a turn; else the shift alone.
    """
    true = made.positions[np.asarray(result.scan.numbers)[result.frames]]
    found = []
    for swap, row, col in product((False, True), (1, -1), (1, -1)):
        matrix = np.diag([row, col]) @ (np.eye(2)[::-1] if swap else np.eye(2))
        off = result.positions - true @ matrix.T
        steps = ("transpose",) * swap
        back = (col, row) if swap else (row, col)
        steps += tuple(s for s, sign in zip(("flipud", "fliplr"), back, strict=True) if sign < 0)
        shift = off.mean(axis=0)
        found.append(Placed(steps, matrix, shift, float(np.sqrt(np.mean((off - shift) ** 2)))))
    best = min(found, key=lambda placed: placed.rms)
    # Of a scan whose positions fit no turn well, a turn says nothing.
    return best if turns and best.rms < 0.5 * found[0].rms else found[0]


def in_place(result: Result, placed: Placed, made: Made) -> Result:
    """Return a result on the pixels of the truth, covered where the right scan covers it.

    Pixels that it does not cover get its mean: nothing known of them, neither right.
    """
    shape = np.array(result.obj.shape)
    corners = np.array([result.origin, result.origin + shape - 1]) - placed.shift
    first = np.floor((corners @ placed.matrix).min(axis=0) + 0.5).astype(int)
    own = well_covered(result.coverage)
    mean = result.obj[own].mean() if own.any() else 1.0
    obj = oriented(np.where(own, result.obj, mean), placed.steps)
    found = np.full(made.obj.shape, mean, np.complex64)
    low = np.clip(first, 0, made.obj.shape)
    high = np.clip(first + obj.shape, low, made.obj.shape)
    here, there = (
        tuple(slice(a, b) for a, b in zip(low - o, high - o, strict=True)) for o in (0, first)
    )
    found[here] = obj[there]
    positions, probe = (
        torch.from_numpy(array) for array in (made.pair.right.positions, made.probe)
    )
    lit = illumination_on(Canvas((0, 0), made.obj.shape), positions, probe)
    return replace(result, obj=found, coverage=lit.numpy(), origin=(0, 0))


def is_allowed(made: Made, steps: tuple[str, ...], turn: str) -> bool:
    """Return whether nothing in the spoiled scan speaks against a turned picture.

    Args:
        made: the scan.
        steps: that undo the turn of the positions.
        turn: of the picture, as `ptycho.evaluate` names it.
    """
    groups = {SPOILINGS[name].group for name in made.recipe.spoilings}
    if not groups & {"orientation", "probe"}:
        return False
    if {"no-probe", "gaussian-probe"} & set(made.recipe.spoilings):
        return True
    given = np.asarray(made.pair.spoiled.probe)[0]
    if "corner-probe" in made.recipe.spoilings:
        given = np.fft.fftshift(given)
    turned = _turned_probe(given, (*steps, *_TURNS[turn]))
    return _likeness(turned, made.probe[0]) > _likeness(given, made.probe[0]) - _SAME_PROBE


def _turned_probe(probe: np.ndarray, steps: tuple[str, ...]) -> np.ndarray:
    """Return a probe after some steps; its middle stays at pixel N//2."""
    for step in steps:
        probe = probe.conj() if step == "conjugate" else oriented(probe, (step,))
        if step in ("flipud", "fliplr") and len(probe) % 2 == 0:
            probe = np.roll(probe, 1, axis=0 if step == "flipud" else 1)
    return probe


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    return float(abs(np.vdot(one, other)) / (np.linalg.norm(one) * np.linalg.norm(other)))


def score(result: Result, made: Made, *, spoiled: bool) -> tuple[dict, dict[str, np.ndarray]]:
    """Return the numbers of a result, and grey pictures of its phase and of the true one.

    Args:
        result: of the right or of the spoiled scan.
        made: the scan with its truth.
        spoiled: whether it is of the spoiled one; the right one has no turn.
    """
    truth = replace(made.pair.right, obj=made.obj)
    # The positions of the right scan are true; those of a spoiled one may be off by a turn.
    placed = placing(result, made, turns=spoiled)
    found = ptycho.evaluate(in_place(result, placed, made), truth, twin=spoiled, progress=False)
    numbers, turn = _numbers(found.comparison), found.metrics["removed_turn"]
    label = ", ".join(part for part in (*placed.steps, turn if turn != "none" else "") if part)
    label = "" if numbers["wrong"] else label  # the turn that a wrong picture fits best is chance
    allowed = is_allowed(made, placed.steps, turn)
    if (placed.steps or turn != "none") and not allowed:
        as_told = placing(result, made, turns=False)
        found = ptycho.evaluate(in_place(result, as_told, made), truth, progress=False)
        numbers = _numbers(found.comparison)
    row = numbers | {
        "turn": label, "turn_allowed": allowed or not label, "position_rms": placed.rms
    }  # fmt: skip
    return row, _pictures(found.comparison)


def _numbers(comparison: Comparison) -> dict:
    numbers, mask = comparison.numbers, comparison.aligned.mask
    contrast = float(_flat(comparison.truth, mask)[mask].std())
    share = numbers["phase_rmse_rad"] / contrast if contrast > 0 else math.nan
    return {
        "phase_db": numbers["phase_psnr_db"], "amplitude_db": numbers["amplitude_psnr_db"],
        "phase_error_share": share,
        "wrong": bool(numbers["phase_psnr_db"] < WRONG_DB or share > WRONG_SHARE),
    }  # fmt: skip


def _pictures(comparison: Comparison) -> dict[str, np.ndarray]:
    obj, mask = comparison.aligned.obj, comparison.aligned.mask
    true_phase = _flat(comparison.truth, mask)
    limits = robust_range(true_phase, mask)
    error = np.angle(obj * comparison.truth.conj())
    shown = {"truth": true_phase, "phase": true_phase + error}
    return {name: _grey(values, mask, limits) for name, values in shown.items()}


def _flat(obj: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the phase about its mean."""
    return np.angle(obj * np.conj(obj[mask].sum()))


def _grey(values: np.ndarray, mask: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return values as 1 to 255, 0 where they are not known."""
    low, high = limits
    grey = 1 + 254 * np.clip((values - low) / (high - low), 0, 1)
    return np.where(mask, grey, 0).astype(np.uint8)


def reference_of(result: Result, right: RawData) -> np.ndarray:
    """Return a reconstruction as the truth of a measured scan, pixel (r, c) at coordinate (r, c).

    Args:
        result: of the right scan.
        right: that scan.
    """
    size = right.frame_size
    shape = np.ceil(right.positions.max(axis=0)).astype(int) + size
    found = np.zeros(shape, np.complex64)
    row, col = result.origin
    height, width = (min(n, s - o) for n, s, o in zip(result.obj.shape, shape, (row, col),
                                                       strict=True))  # fmt: skip
    found[row : row + height, col : col + width] = result.obj[:height, :width]
    return found
